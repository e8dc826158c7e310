"""The system calls a serving worker may make, as a seccomp filter for x86-64 and aarch64.

Everything not listed fails with EPERM: files, sockets, processes, signals, ptrace, io_uring, bpf. The program is classic BPF over
`struct seccomp_data` (number at byte 0, architecture at 4, six 64-bit arguments from 16, little-endian).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from types import MappingProxyType

ARCHITECTURES: Mapping[str, int] = MappingProxyType({"x86_64": 0xC000003E, "aarch64": 0xC00000B7})
"""Machine -> AUDIT_ARCH constant of linux/audit.h."""

SECCOMP: Mapping[str, int] = MappingProxyType({"x86_64": 317, "aarch64": 277})
"""Machine -> number of seccomp(2) itself."""

CLONE3 = 435
X32_BIT = 0x40000000

_X86_64 = """
read=0 write=1 close=3 fstat=5 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15
readv=19 writev=20 sched_yield=24 mremap=25 madvise=28 nanosleep=35 getpid=39 clone=56 exit=60 uname=63 getuid=102 fcntl=72 gettimeofday=96
getrusage=98 sysinfo=99 rt_sigtimedwait=128 sigaltstack=131 gettid=186 futex=202 sched_getaffinity=204 set_tid_address=218
restart_syscall=219 clock_gettime=228 clock_getres=229 clock_nanosleep=230 exit_group=231 ppoll=271 set_robust_list=273 prlimit64=302
getcpu=309 getrandom=318 membarrier=324 rseq=334
"""
_AARCH64 = """
read=63 write=64 close=57 fstat=80 lseek=62 mmap=222 mprotect=226 munmap=215 brk=214 rt_sigaction=134 rt_sigprocmask=135
rt_sigreturn=139 readv=65 writev=66 sched_yield=124 mremap=216 madvise=233 nanosleep=101 getpid=172 clone=220 exit=93 uname=160 getuid=174
fcntl=25 gettimeofday=169 getrusage=165 sysinfo=179 rt_sigtimedwait=137 sigaltstack=132 gettid=178 futex=98 sched_getaffinity=123
set_tid_address=96 restart_syscall=128 clock_gettime=113 clock_getres=114 clock_nanosleep=115 exit_group=94 ppoll=73
set_robust_list=99 prlimit64=261 getcpu=168 getrandom=278 membarrier=283 rseq=293
"""


def _table(text: str) -> Mapping[str, int]:
    pairs = (pair.split("=") for pair in text.split())
    return MappingProxyType({name: int(number) for name, number in pairs})


NUMBERS: Mapping[str, Mapping[str, int]] = MappingProxyType({"x86_64": _table(_X86_64), "aarch64": _table(_AARCH64)})
"""Machine -> name -> number of every call that may be made at all (poll does not exist on aarch64)."""

_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD, _CLONE_NEW = 0x10000, 0x7E020000
_PROT_EXEC, _MAP_SHARED = 4, 1
_F_GETFD, _F_GETFL = 1, 3

Step = tuple[int, int, int, int]
"""One BPF instruction: code, jump if true, jump if false, constant."""


def program(machine: str) -> list[Step]:
    """Build the filter of a machine; raises KeyError for one we have no table for."""
    numbers = NUMBERS[machine]
    steps: list[Step] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the x32 numbers would be a second way to every call
        steps += [(_AT_LEAST, 0, 1, X32_BIT), (_RETURN, 0, 0, _KILL)]
    steps += _when(CLONE3, [_refuse(errno.ENOSYS)])  # its flags lie behind a pointer; the C library falls back to clone
    special = _special()
    for name, number in numbers.items():
        steps += _when(number, special.get(name, [(_RETURN, 0, 0, _ALLOW)]))
    return [*steps, _refuse(errno.EPERM)]


def assemble(steps: list[Step]) -> bytes:
    """Write instructions as the kernel reads them: `struct sock_filter`, 8 bytes each."""
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _special() -> dict[str, list[Step]]:
    """Return what is asked of the arguments of a call, by name. Every branch returns, so the loaded number may be overwritten."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)
    protect: list[Step] = [(_LOAD, 0, 0, _argument(2)), (_ANY_BIT, 0, 1, _PROT_EXEC), refuse]
    return {
        # threads only, no processes and no namespaces
        "clone": [(_LOAD, 0, 0, _argument(0)), (_ANY_BIT, 0, 2, _CLONE_THREAD), (_ANY_BIT, 1, 0, _CLONE_NEW), allow, refuse],
        # shared memory is not counted by RLIMIT_DATA
        "mmap": [*protect, (_LOAD, 0, 0, _argument(3)), (_ANY_BIT, 0, 1, _MAP_SHARED), refuse, allow],
        "mprotect": [*protect, allow],
        # F_SETOWN with O_ASYNC would send signals to other processes
        "fcntl": [(_LOAD, 0, 0, _argument(1)), (_EQUAL, 1, 0, _F_GETFD), (_EQUAL, 0, 1, _F_GETFL), allow, refuse],
        # limits may be read (no new limit given), never set
        "prlimit64": [(_LOAD, 0, 0, _argument(2)), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _argument(2) + 4), (_EQUAL, 0, 1, 0), allow, refuse],
    }


def _argument(place: int) -> int:
    return 16 + 8 * place


def _when(number: int, body: list[Step]) -> list[Step]:
    return [(_EQUAL, 0, len(body), number), *body]


def _refuse(code: int) -> Step:
    return (_RETURN, 0, 0, _ERRNO | code)
