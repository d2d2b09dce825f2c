//! How the program is linked: for `[[bin]]` only, and without a word in anybody's `RUSTFLAGS`.
#![allow(clippy::disallowed_methods, reason = "a build script is told by its environment")]

/// Each with what it is for.
const LINK_ARGS: [(&str, &str); 8] = [
    ("-nostartfiles", "`start.rs` has the first instruction, not crt1.o"),
    ("-nostdlib", "no C library"),
    ("-static", "no program interpreter: `FROM scratch` has none"),
    ("-no-pie", "not relocatable: nobody is there to relocate it, and no page has to be written for it"),
    (
        "-Wl,--strip-all",
        "no symbols; a profile's `strip` does not reach a package that has a profile of its own",
    ),
    ("-Wl,--build-id=none", "the same source gives the same bytes"),
    ("-Wl,-z,noexecstack", "the stack is never executable"),
    ("-Wl,-z,norelro", "nothing to relocate, so nothing to protect afterwards"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link.ld");
    for (arg, _why) in LINK_ARGS {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
    let directory =
        std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR for build scripts");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/link.ld");
}
