// Presets: how a config names another document: by a preset's name ("llama3-8b": configs/models/llama3-8b.yaml), by a file ("../a.json",
// relative to the file that says so), inline, or as one of the first two with some of its keys replaced ({preset: llama3-8b, layers: 4}).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/diagnostics.h"
#include "core/located_yaml.h"

namespace helm {

// Documents that were read, by file, for a caller that reads many configs against the same presets. Safe for concurrent use. It never looks
// at a file again, so it must not outlive one run of a command.
class DocumentCache;
std::shared_ptr<DocumentCache> MakeDocumentCache();

// Folders that hold models/, clusters/, gpus/, frameworks/ ..., searched in order. A value that callers pass on, not a global.
struct PresetPath {
  std::vector<std::string> folders;
  std::shared_ptr<DocumentCache> cache = nullptr;  // may be null: every file is read when it is named
};

// $HELM_CONFIG_DIR (`config_dir`, if not null or empty), then <executable_folder>/../../configs and ../configs (a build in the source tree)
// and ../share/helm/configs (installed); only those that exist.
PresetPath MakePresetPath(const char* config_dir, const std::string& executable_folder);

// Names of the presets of a kind ("models"), sorted, without ".yaml" or ".json"; the first folder wins.
std::vector<std::string> PresetNames(const PresetPath& path, const std::string& kind);
std::optional<std::string> FindPreset(const PresetPath& path, const std::string& kind, const std::string& name);  // its file

struct LoadedReference {
  YamlValue value;       // the document that is meant: a mapping
  std::string name;      // of the preset or the file, without folder and ending, and what was replaced; empty for an inline one
  std::string folder;    // what relative paths in it are relative to
  std::string file;      // empty for an inline one
  bool changed = false;  // keys of the file were replaced
};

// Follows a value that is a text (a preset's name, or a file if it has a '/' or ends in .yaml, .yml or .json) or a mapping: inline, or with
// such a text as `preset` and keys that replace its own, mappings key by key. What is wrong is reported at the value, with the presets
// there are. `what`: "cluster"; `kind`: "clusters"; `folder`: of the file that holds `value`.
std::optional<LoadedReference> LoadReference(const YamlValue& value, const std::string& what, const std::string& kind,
                                             const PresetPath& path, const std::string& folder, Diagnostics& diagnostics);

}  // namespace helm
