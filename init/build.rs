//! Links the program `init` with `without_unwinding.ld`.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/without_unwinding.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bin=init=-Wl,-T,{script}");
}
