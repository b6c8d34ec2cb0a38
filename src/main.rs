//! The `vomsis-connect` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// For the whole process, librdkafka included: `docs/adr/0003-allocator.md` says why.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    vomsis_connect::cli::main()
}
