//! `completions`: a script for the shell.

use clap_complete::Shell;

use super::{Context, Failure, forms, output};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script: `vomsis-connect completions bash > …/vomsis-connect`.
pub async fn run(args: Args, _: &Context) -> Result<(), Failure> {
    let mut command = forms::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::write(&one_spelling(&String::from_utf8_lossy(&script)))
}

/// The script for bash spells a hyphen in the program's name in two ways (clap_complete 4.6), and finds
/// nothing below the first word then; those of the other shells have none of them.
fn one_spelling(script: &str) -> String {
    script.replace("vomsis__subcmd__connect", "vomsis__connect")
}
