//! The first instruction, per architecture; what the C library would otherwise bring: the memory functions
//! that the compiler calls; the panic handler that it demands.

use core::arch::global_asm;

use crate::sys::{self, Strings};

/// What the kernel hands to a new program (`execve(2)`); it lives as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// The program's name and its arguments.
    pub(crate) args: Strings<'static>,
    /// Entries `NAME=VALUE`.
    pub(crate) env: Strings<'static>,
}

// The kernel enters with the stack pointer at `argc`. The outermost frame has no frame pointer, and both ABIs
// want the stack aligned to 16 bytes at a call.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".text",
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {enter}",
    "ud2",
    enter = sym enter,
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".text",
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {enter}",
    "brk #1",
    enter = sym enter,
);

/// # Safety
/// `stack` must be the stack pointer that the kernel entered this program with.
unsafe extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the kernel lays out `argc`, `argc` pointers, a null pointer, the environment's pointers, a null
    // pointer (the psABI's "process initialization"). Strings and arrays stay for as long as the process
    // lives, and nothing here writes to them.
    let process = unsafe {
        let args = stack.add(1);
        let env = args.add(*stack + 1);
        Process { args: Strings::new(args.cast()), env: Strings::new(env.cast()) }
    };
    crate::run(process)
}

/// No panic is reachable (`tests/properties.rs` proves that its words are not in the program), but the
/// language asks for a handler. It ends as `abort` would, without a word: 128 + ABRT.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(134)
}

// The compiler turns copies and comparisons of slices into calls of these. In assembly, because the compiler
// would turn a loop in Rust back into a call of the very function. Nothing here moves more than a page, so
// the short way is fast enough. Each has a section of its own, so that the linker leaves out what is not
// called.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".section .text.memcpy,\"ax\",@progbits",
    ".globl memcpy",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    ".section .text.memmove,\"ax\",@progbits",
    ".globl memmove",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "cmp rdi, rsi",
    "ja 2f",
    "rep movsb",
    "ret",
    "2:",
    "lea rdi, [rdi + rcx - 1]",
    "lea rsi, [rsi + rcx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    ".section .text.memset,\"ax\",@progbits",
    ".globl memset",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    ".section .text.memcmp,\"ax\",@progbits",
    ".globl memcmp",
    ".globl bcmp",
    "memcmp:",
    "bcmp:",
    "xor eax, eax",
    "2:",
    "test rdx, rdx",
    "jz 3f",
    "movzx eax, byte ptr [rdi]",
    "movzx ecx, byte ptr [rsi]",
    "inc rdi",
    "inc rsi",
    "dec rdx",
    "sub eax, ecx",
    "jz 2b",
    "3:",
    "ret",
    ".section .text.strlen,\"ax\",@progbits",
    ".globl strlen",
    "strlen:",
    "xor eax, eax",
    "2:",
    "cmp byte ptr [rdi + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
    ".text",
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".section .text.memcpy,\"ax\",@progbits",
    ".globl memcpy",
    ".globl memmove",
    "memcpy:",
    "memmove:",
    "cmp x0, x1",
    "b.hi 4f",
    "mov x3, x0",
    "2:",
    "cbz x2, 3f",
    "ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "sub x2, x2, #1",
    "b 2b",
    "3:",
    "ret",
    "4:",
    "cbz x2, 3b",
    "sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "b 4b",
    ".section .text.memset,\"ax\",@progbits",
    ".globl memset",
    "memset:",
    "mov x3, x0",
    "2:",
    "cbz x2, 3f",
    "strb w1, [x3], #1",
    "sub x2, x2, #1",
    "b 2b",
    "3:",
    "ret",
    ".section .text.memcmp,\"ax\",@progbits",
    ".globl memcmp",
    ".globl bcmp",
    "memcmp:",
    "bcmp:",
    "mov w5, #0",
    "2:",
    "cbz x2, 3f",
    "ldrb w3, [x0], #1",
    "ldrb w4, [x1], #1",
    "sub x2, x2, #1",
    "subs w5, w3, w4",
    "b.eq 2b",
    "3:",
    "mov w0, w5",
    "ret",
    ".section .text.strlen,\"ax\",@progbits",
    ".globl strlen",
    "strlen:",
    "mov x1, x0",
    "mov x0, #0",
    "2:",
    "ldrb w2, [x1, x0]",
    "cbz w2, 3f",
    "add x0, x0, #1",
    "b 2b",
    "3:",
    "ret",
    ".text",
);
