#include "cost/estimator.h"

namespace helm::cost {

std::string_view Name(Source source) {
  switch (source) {
    case Source::kMeasured:
      return "measured";
    case Source::kInterpolated:
      return "interpolated";
    case Source::kAnalytic:
      return "analytic";
  }
  return "";
}

}  // namespace helm::cost
