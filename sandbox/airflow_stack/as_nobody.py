"""Run a command as the user ``nobody`` although root asked for it: PostgreSQL refuses to run as root.

The temporary folders of tests and the home of root are closed to other users, so on Linux the command keeps one
capability, CAP_DAC_OVERRIDE, and walks through them; no folder's permissions have to be opened and no account has to be
created. Usage: ``python -I as_nobody.py <command> <argument> ...``
"""

import ctypes
import os
import pwd
import sys

PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2  # keeps capabilities over the change of user, and in access(2), which initdb asks
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def become_nobody() -> None:
    """Change user, groups and, on Linux, capabilities of this process for good."""
    account = pwd.getpwnam("nobody")
    on_linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    if on_linux:
        _prctl(libc, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if on_linux:
        header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
        only_one = 1 << CAP_DAC_OVERRIDE
        sets = (ctypes.c_uint32 * 6)(only_one, only_one, only_one, 0, 0, 0)
        if libc.capset(header, sets) != 0:
            raise OSError(ctypes.get_errno(), "capset refused to keep CAP_DAC_OVERRIDE")
        _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    if libc.prctl(option, *(ctypes.c_ulong(argument) for argument in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) refused")


if __name__ == "__main__":
    become_nobody()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell, an absolute path
