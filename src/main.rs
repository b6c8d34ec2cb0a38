//! The `vomsis-connect` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    vomsis_connect::cli::main()
}
