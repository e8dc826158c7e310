import re
import struct
from pathlib import Path

import pytest

from tradewind.workers import syscalls

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
HEADERS = {"x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), "aarch64": Path("/usr/include/asm-generic/unistd.h")}
MACHINES = list(syscalls.ARCHITECTURES)


def judge(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Run the filter as the kernel would and return its verdict."""
    data = struct.pack(
        "<IIQ6Q", number, syscalls.ARCHITECTURES[machine] if architecture is None else architecture, 0, *(*arguments, *[0] * 6)[:6]
    )
    steps = [struct.unpack("<HBBI", wire) for wire in re.findall(rb"(?s).{8}", syscalls.assemble(syscalls.program(machine)))]
    value, at = 0, 0
    for _ in range(len(steps)):
        code, yes, no, constant = steps[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif code == 0x06:
            return constant
        else:
            at += yes if {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code] else no
    raise AssertionError("the program does not end")


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_one_the_kernel_accepts(machine: str) -> None:
    steps = syscalls.program(machine)
    assert len(steps) < 4096
    assert len(syscalls.assemble(steps)) == 8 * len(steps)
    for at, (code, yes, no, _) in enumerate(steps):
        if code not in (0x20, 0x06):
            assert at + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == 0x06


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_is_killed(machine: str) -> None:
    for other in (0x40000003, 0x40000028, *(set(syscalls.ARCHITECTURES.values()) - {syscalls.ARCHITECTURES[machine]})):
        assert judge(machine, 1, architecture=other) == KILL


def test_x32_numbers_are_killed() -> None:
    assert judge("x86_64", 0x40000000 | syscalls.NUMBERS["x86_64"]["read"]) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_only_the_listed_calls_pass(machine: str) -> None:
    listed = set(syscalls.NUMBERS[machine].values())
    plain = listed - {syscalls.NUMBERS[machine][name] for name in ("clone", "mmap", "mprotect", "fcntl", "prlimit64")}
    for number in range(600):
        verdict = judge(machine, number)
        if number == syscalls.CLONE3:
            assert verdict == ENOSYS
        elif number in plain:
            assert verdict == ALLOW
        elif number not in listed:
            assert verdict == EPERM, number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "passes"),
    [
        ("clone", (0x3D0F00,), True),  # what the C library asks for a thread
        ("clone", (0x11,), False),  # fork
        ("clone", (0x10000000 | 0x10000,), False),  # a thread in a new user namespace
        ("mmap", (0, 4096, 3, 0x22), True),
        ("mmap", (0, 4096, 7, 0x22), False),
        ("mmap", (0, 4096, 5, 0x22), False),
        ("mmap", (0, 4096, 3, 0x21), False),  # shared
        ("mmap", (0, 4096, 3, 0x03), False),  # shared, validated
        ("mprotect", (0, 4096, 3), True),
        ("mprotect", (0, 4096, 5), False),
        ("fcntl", (3, 1), True),
        ("fcntl", (3, 3), True),
        ("fcntl", (3, 8, 1), False),  # F_SETOWN
        ("fcntl", (3, 4, 0x2000), False),  # F_SETFL
        ("prlimit64", (0, 7, 0, 0x7FFF00000000), True),
        ("prlimit64", (0, 7, 0x7FFF00000000, 0), False),  # a pointer whose low half is nought
        ("prlimit64", (0, 7, 0x1000, 0), False),
    ],
)
def test_arguments_are_looked_at(machine: str, name: str, arguments: tuple[int, ...], passes: bool) -> None:
    assert judge(machine, syscalls.NUMBERS[machine][name], *arguments) == (ALLOW if passes else EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_dangerous_calls_are_on_no_list(machine: str) -> None:
    banned = "open openat openat2 creat socket connect bind sendto sendmsg kill tkill tgkill fork vfork execve execveat ptrace prctl ioctl"
    banned += " io_uring_setup bpf unshare setns mount memfd_create process_vm_readv setrlimit dup2 shmget userfaultfd keyctl personality"
    assert not set(banned.split()) & set(syscalls.NUMBERS[machine])


def test_the_aarch64_table() -> None:
    """Pin the whole table: it never ran on ARM, so this and the kernel's header are what it is checked by."""
    pinned = {
        "ppoll": 73, "read": 63, "write": 64, "readv": 65, "writev": 66, "close": 57, "fstat": 80, "lseek": 62, "fcntl": 25,
        "exit": 93, "exit_group": 94, "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
        "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigtimedwait": 137,
        "rt_sigreturn": 139, "uname": 160, "getrusage": 165, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getuid": 174,
        "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222, "mprotect": 226,
        "madvise": 233, "prlimit64": 261, "getrandom": 278, "membarrier": 283, "rseq": 293,
    }  # fmt: skip
    assert dict(syscalls.NUMBERS["aarch64"]) == pinned
    assert syscalls.SECCOMP["aarch64"] == 277
    assert syscalls.ARCHITECTURES["aarch64"] == 0xC00000B7


def test_both_machines_allow_the_same() -> None:
    assert set(syscalls.NUMBERS["x86_64"]) - set(syscalls.NUMBERS["aarch64"]) == {"poll"}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    text = header.read_text()
    theirs = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.M)}
    for name, number in {**syscalls.NUMBERS[machine], "seccomp": syscalls.SECCOMP[machine], "clone3": syscalls.CLONE3}.items():
        assert theirs[name] == number, name


def test_an_unknown_machine_has_no_program() -> None:
    with pytest.raises(KeyError):
        syscalls.program("riscv64")
