// FileKind: what a file that says its format is, and who takes it: for the messages of readers that were given another one.
//
// Only words: which versions of a format can be read is its reader's business.
#pragma once

#include <string>
#include <string_view>

namespace helm {

struct FileKind {
  std::string name;   // "a plan"
  std::string taker;  // "helm-exec runs it, helm-sim prices it"; empty where the name is unknown
};

// Of the value of a `format` key: "helm-plan/1". Of one that is not HELM's the name is "a file of format 'x'".
FileKind KindOfFormat(std::string_view format);

}  // namespace helm
