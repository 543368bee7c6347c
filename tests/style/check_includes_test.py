"""scripts/check_includes.py finds each kind of fault, and nothing in sound code."""

import importlib.util
import pathlib
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_includes.py"
spec = importlib.util.spec_from_file_location("check_includes", SCRIPT)
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)


def faults(path, text, allowed=frozenset({"sim", "core"})):
    return [f"{line}: {message}" for line, message in check.check_cpp(pathlib.Path(path), text, allowed)]


class CheckIncludes(unittest.TestCase):
    def test_sound_code_has_no_fault(self):
        text = '#include "core/status.h"\n#include <vector>\n// exit(1) and "printf(" in a comment\nauto s = "std::cout";\nvoid F() { Pool().exit(); }\n'
        self.assertEqual(faults("sim/a.cc", text), [])

    def test_parent_folder(self):
        self.assertIn("name it from the module", faults("sim/a.cc", '#include "../core/status.h"\n')[0])

    def test_module_not_named(self):
        self.assertIn("sim may include only core, sim", faults("sim/a.cc", '\n#include "planner/search.h"\n')[0])
        self.assertTrue(faults("sim/a.cc", '\n#include "planner/search.h"\n')[0].startswith("2: "))

    def test_torch_stays_in_runtime(self):
        for header in ("torch/torch.h", "ATen/ATen.h", "c10/util/Half.h", "cuda_runtime.h", "nccl.h", "cupti.h"):
            self.assertIn("runtime/ alone", faults("exec/a.cc", f"#include <{header}>\n")[0])
            self.assertEqual(faults("runtime/a.cc", f"#include <{header}>\n"), [])

    def test_banned_calls(self):
        for call in ("exit(1);", "std::exit(1);", "printf(\"x\");", "std::cout << 1;", "fprintf(stderr, \"x\");", "rand();", "std::abort();"):
            self.assertEqual(len(faults("sim/a.cc", f"void F() {{ {call} }}\n")), 1, call)
            self.assertEqual(faults("tools/a.cc", f"void F() {{ {call} }}\n"), [], call)

    def test_long_function(self):
        body = "  x += 1;\n" * check.FUNCTION_LINES
        self.assertIn("function of", faults("sim/a.cc", f"namespace helm {{\nint F(int x) {{\n{body}}}\n}}\n")[0])
        self.assertIn("2: function of", faults("sim/a.cc", f"namespace helm {{\nint C::F(int x) const {{\n{body}}}\n}}\n")[0])
        self.assertEqual(faults("sim/a.cc", f"struct S {{\n{body}}};\nnamespace n {{\n{body}}}\n"), [])

    def test_long_file_and_guard(self):
        self.assertIn("at most 600", faults("sim/a.cc", "\n" * 601)[0])
        self.assertIn("#pragma once", faults("sim/a.h", "int x;\n")[0])

    def test_own_header_first(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "sim").mkdir()
            (root / "sim/a.h").write_text("#pragma once\n")
            find = lambda text: list(check.check_own_header(pathlib.Path("sim/a.cc"), text, root))
            self.assertEqual(find('// a\n#include "sim/a.h"\n#include <vector>\n'), [])
            self.assertEqual(find('// a\n#include <vector>\n#include "sim/a.h"\n')[0][0], 2)

    def test_module_tables_are_read_from_cmake(self):
        modules = check.Modules(SCRIPT.parents[1])
        self.assertEqual(modules.public["cluster"], {"cluster", "core"})
        self.assertNotIn("planner", modules.all["sim"])


if __name__ == "__main__":
    unittest.main()
