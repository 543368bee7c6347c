#include "core/preset.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "core/file.h"
#include "core/text.h"

namespace helm {

class DocumentCache {
 public:
  std::shared_ptr<const Result<YamlValue>> Read(const std::string& file) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<const Result<YamlValue>>& entry = documents_[file];
    if (entry == nullptr) entry = std::make_shared<const Result<YamlValue>>(ReadYamlFile(file));
    return entry;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Result<YamlValue>>> documents_;
};

std::shared_ptr<DocumentCache> MakeDocumentCache() { return std::make_shared<DocumentCache>(); }

namespace {

bool HasFileEnding(const std::string& text) { return text.ends_with(".yaml") || text.ends_with(".yml") || text.ends_with(".json"); }

std::string Stem(const std::string& path) { return std::filesystem::path(path).stem().string(); }

// Small letters, without dashes.
std::string Plain(std::string_view name) {
  std::string plain;
  for (const char letter : name) {
    if (letter != '-') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return plain;
}

// "meta-llama/Llama-3.1-405B-Instruct", as the Hugging Face Hub names a model and people paste it: the preset that it holds the name of.
std::optional<std::string> PresetOfHubName(const std::string& text, const std::vector<std::string>& names) {
  std::optional<std::string> longest;
  for (const std::string& name : names) {
    if (Plain(text).find(Plain(name)) != std::string::npos && (!longest || name.size() > longest->size())) longest = name;
  }
  return longest;
}

std::vector<std::string> MissingFileNotes(const std::string& text, const std::string& file, const std::string& kind,
                                          const PresetPath& path) {
  const bool hub_name = kind == "models" && !HasFileEnding(text) && text.front() != '.' && std::ranges::count(text, '/') == 1;
  if (!hub_name) return {fmt::format("looked for: {}", file), "fix: paths are relative to the file that names them"};
  std::vector<std::string> notes;
  if (const auto meant = PresetOfHubName(text, PresetNames(path, kind)))
    notes.push_back(fmt::format("did you mean the preset '{}'?", *meant));
  notes.push_back(fmt::format("looked for: {}", file));
  notes.emplace_back("fix: nothing is downloaded: save the model's config.json and give its path, or give a preset's name");
  return notes;
}

// The file that a text names, or nothing after reporting.
std::optional<std::string> FileOf(const YamlValue& value, const std::string& what, const std::string& kind, const PresetPath& path,
                                  const std::string& folder, Diagnostics& diagnostics) {
  if (HasFileEnding(value.text) || value.text.find('/') != std::string::npos) {
    const std::string file = ResolvePath(folder, value.text);
    if (FileExists(file)) return file;
    diagnostics.Error(value.where, fmt::format("{} file '{}' does not exist", what, value.text),
                      MissingFileNotes(value.text, file, kind, path));
    return std::nullopt;
  }
  if (auto file = FindPreset(path, kind, value.text)) return file;
  const std::vector<std::string> names = PresetNames(path, kind);
  std::vector<std::string> notes;
  if (const auto meant = DidYouMean(value.text, names)) notes.push_back(fmt::format("did you mean '{}'?", *meant));
  if (names.empty()) {
    notes.push_back(
        fmt::format("no presets of this kind were found in: {}", path.folders.empty() ? "(no folder)" : Join(path.folders, ", ")));
  } else {
    notes.push_back(fmt::format("allowed: {}", Join(names, ", ")));
  }
  notes.push_back("fix: give a preset's name, a file (with its ending), or an inline mapping");
  diagnostics.Error(value.where, fmt::format("there is no {} preset '{}'", what, value.text), std::move(notes));
  return std::nullopt;
}

// Mappings key by key, also those that a name stands for, all else whole.
void Replace(const YamlValue& changes, YamlValue& value) {
  for (const YamlEntry& change : changes.entries) {
    YamlValue* const known = value.Find(change.key);
    if (known == nullptr) {
      value.entries.push_back(change);
    } else if (known->is_mapping() && change.value.is_mapping()) {
      Replace(change.value, *known);
    } else if (known->is_scalar() && change.value.is_mapping() && change.value.Find("preset") == nullptr) {
      const YamlEntry preset{"preset", known->where, *known};
      *known = change.value;
      known->entries.push_back(preset);
    } else {
      *known = change.value;
    }
  }
}

// "h100-sxm-x64 with nodes 2", since it is no longer what the preset's name says.
std::string NameOf(const std::string& preset, const YamlValue& changes) {
  std::string text;
  for (const YamlEntry& change : changes.entries) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", change.key, change.value.is_scalar() ? " " + change.value.text : "");
  }
  return text.empty() ? preset : fmt::format("{} with {}", preset, text);
}

// File names are relative to the file that says so.
void ResolvePaths(const std::string& folder, YamlValue& changes) {
  for (YamlEntry& change : changes.entries) {
    ResolvePaths(folder, change.value);
    if (change.value.is_scalar() && HasFileEnding(change.value.text)) change.value.text = ResolvePath(folder, change.value.text);
  }
}

}  // namespace

PresetPath MakePresetPath(const char* config_dir, const std::string& executable_folder) {
  PresetPath path;
  const auto add = [&path](const std::string& folder) {
    if (FolderExists(folder)) path.folders.push_back(folder);
  };
  if (config_dir != nullptr && *config_dir != '\0') add(config_dir);
  for (const char* relative : {"../../configs", "../configs", "../share/helm/configs"}) add(ResolvePath(executable_folder, relative));
  return path;
}

std::vector<std::string> PresetNames(const PresetPath& path, const std::string& kind) {
  std::set<std::string> names;
  for (const std::string& folder : path.folders) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder + "/" + kind, error)) {
      const std::string file = entry.path().filename().string();
      if (HasFileEnding(file)) names.insert(Stem(file));
    }
  }
  return {names.begin(), names.end()};
}

std::optional<std::string> FindPreset(const PresetPath& path, const std::string& kind, const std::string& name) {
  for (const std::string& folder : path.folders) {
    for (const char* ending : {".yaml", ".yml", ".json"}) {
      const std::string file = fmt::format("{}/{}/{}{}", folder, kind, name, ending);
      if (FileExists(file)) return file;
    }
  }
  return std::nullopt;
}

std::optional<LoadedReference> LoadReference(const YamlValue& value, const std::string& what, const std::string& kind,
                                             const PresetPath& path, const std::string& folder, Diagnostics& diagnostics) {
  if (const YamlValue* preset = value.Find("preset")) {
    std::optional<LoadedReference> loaded = LoadReference(*preset, what, kind, path, folder, diagnostics);
    if (!loaded) return std::nullopt;
    YamlValue changes = value;
    std::erase_if(changes.entries, [](const YamlEntry& entry) { return entry.key == "preset"; });
    ResolvePaths(folder, changes);
    Replace(changes, loaded->value);
    loaded->changed = loaded->changed || !changes.entries.empty();
    loaded->name = NameOf(loaded->name, changes);
    loaded->value.where = value.where;
    return loaded;
  }
  if (value.is_mapping()) return LoadedReference{value, "", folder, ""};
  if (!value.is_scalar() || value.text.empty()) {
    diagnostics.Error(value.where, fmt::format("'{}' must be a preset's name, a file, or a mapping", what));
    return std::nullopt;
  }
  const auto file = FileOf(value, what, kind, path, folder, diagnostics);
  if (!file) return std::nullopt;
  Result<YamlValue> document = path.cache == nullptr ? ReadYamlFile(*file) : *path.cache->Read(*file);
  if (!document.ok()) {
    diagnostics.Add(document.status());
    return std::nullopt;
  }
  if (!document->is_mapping()) {
    diagnostics.Error(document->where, fmt::format("a {} file must be a mapping", what));
    return std::nullopt;
  }
  return LoadedReference{std::move(document).value(), Stem(*file), FolderOf(*file), *file};
}

}  // namespace helm
