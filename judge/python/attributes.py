"""Prints mode, access control lists and file attributes of all paths below a folder, one path a line."""

import array
import fcntl
import os
import sys

FS_IOC_GETFLAGS = 0x80086601
# Flags that a file system sets by itself: extents, inline data, hashed directories.
OWN = 0x80000 | 0x10000000 | 0x1000


def xattr(path, name):
    try:
        return os.getxattr(path, name, follow_symlinks=False).hex()
    except OSError:
        return ""


def flags(path):
    if not os.path.isfile(path) and not os.path.isdir(path) or os.path.islink(path):
        return 0
    descriptor, value = os.open(path, os.O_RDONLY), array.array("l", [0])
    fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, value)
    os.close(descriptor)
    return value[0] & ~OWN


root = sys.argv[1]
for folder, folders, files in os.walk(root):
    for name in folders + files:
        path = os.path.join(folder, name)
        lists = [xattr(path, f"system.posix_acl_{kind}") for kind in ("access", "default")]
        mode = os.lstat(path).st_mode & 0o7777
        print(f"{os.path.relpath(path, root)}\t{mode:04o} access={lists[0]} default={lists[1]} flags={flags(path):x}")
