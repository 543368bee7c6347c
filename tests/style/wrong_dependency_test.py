"""cmake/HelmModule.cmake refuses a module that depends on one of its own row or of a higher one, or on one declared after it."""

import pathlib
import subprocess
import tempfile
import textwrap
import unittest

CMAKE = pathlib.Path(__file__).resolve().parents[2] / "cmake"


class WrongDependency(unittest.TestCase):
    def configure(self, **dependencies):
        """A project of three modules: base in row 0, left and right in row 1; the DEPS of each. Returns (succeeded, messages)."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "CMakeLists.txt").write_text(textwrap.dedent(f"""
                cmake_minimum_required(VERSION 3.25)
                project(sample CXX)
                set(HELM_PREFIX "")
                function(helm_header_test)
                endfunction()
                include("{CMAKE}/HelmModule.cmake")
                helm_layer(0 base)
                helm_layer(1 left right)
                """))
            for module in ("base", "left", "right"):
                (folder / module).mkdir()
                (folder / module / "it.cc").write_text("int it() { return 0; }\n")
                (folder / module / "CMakeLists.txt").write_text(f"helm_module(NAME {module} {dependencies.get(module, '')})\n")
            done = subprocess.run(["cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja"], capture_output=True, text=True, timeout=120)
            return done.returncode == 0, " ".join(done.stderr.split())

    def test_downwards_is_allowed(self):
        succeeded, messages = self.configure(left="DEPS base", right="DEPS base")
        self.assertTrue(succeeded, messages)

    def test_of_the_same_row(self):
        succeeded, messages = self.configure(right="DEPS left")
        self.assertFalse(succeeded)
        self.assertIn("right (row 1) -> left (row 1): an include may only point down", messages)

    def test_upwards(self):
        succeeded, messages = self.configure(base="DEPS left")
        self.assertFalse(succeeded)
        self.assertIn("base -> left: not declared above base", messages)

    def test_private_ones_too(self):
        succeeded, messages = self.configure(right="PRIVATE_DEPS left")
        self.assertFalse(succeeded)
        self.assertIn("an include may only point down", messages)


if __name__ == "__main__":
    unittest.main()
