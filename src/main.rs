//! `bitacora`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    bitacora::cli::main().into()
}
