//! The small program around [`bellwire_notify::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    bellwire_notify::run(&program.to_string_lossy(), args, &|name| std::env::var_os(name))
}
