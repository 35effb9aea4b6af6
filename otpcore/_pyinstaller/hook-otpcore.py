"""A frozen app needs the metadata by which plugins are found, the modules that are imported by name, and the migrations."""

from __future__ import annotations

from importlib.metadata import distributions

from PyInstaller.utils.hooks import (  # PyInstaller alone runs this
    collect_data_files,
    collect_submodules,
    copy_metadata,
)

plugins = {
    (str(found.name), point.value.partition(":")[0].partition(".")[0])
    for found in distributions()
    for point in found.entry_points
    if point.group.startswith("otpcore.")
}
modules = {"otpcore", *(module for _, module in plugins)}
hiddenimports = [
    name
    for module in sorted(modules)
    for name in collect_submodules(
        module, filter=lambda name: not name.startswith(("otpcore.testing", "otpcore._pyinstaller"))
    )
]
datas = [
    *collect_data_files("otpcore", include_py_files=True, includes=["stores/sql/migrations/**/*"]),
    *(entry for name in sorted({name for name, _ in plugins}) for entry in copy_metadata(name)),
]
