//! Values that several commands read the same way.

use crate::{config::duration::Span, domain::ids::Stream};

pub(crate) fn duration(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| error.to_string())
}

pub(crate) fn stream(text: &str) -> Result<Stream, String> {
    Stream::parse(text).ok_or_else(|| {
        let names: Vec<_> = Stream::ALL.iter().map(|stream| stream.name()).collect();
        format!("not a stream; write one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, check, tail};

    fn parsed(line: &str) -> Command {
        Cli::try_parse_from(["x"].into_iter().chain(line.split(' '))).unwrap().command
    }

    #[test]
    fn the_arguments_of_every_verb_are_read() {
        let Command::Sandbox(args) = parsed("sandbox --for 20s --api-only --listen 127.0.0.1:9")
        else {
            panic!("not the sandbox")
        };
        assert_eq!((args.for_, args.listen.port()), (Some(Span::seconds(20)), 9));
        let Command::Preview(args) = parsed("preview pos_transactions --since 3d --limit 5") else {
            panic!("not the preview")
        };
        assert_eq!((args.stream, args.limit.get()), (Stream::PosTransactions, 5));
        let Command::Check(args) = parsed("check --only kafka,state") else {
            panic!("not the check")
        };
        assert!(args.wants(check::Target::Kafka) && !args.wants(check::Target::Registry));
        let Command::Tail(args) = parsed("tail vomsis.quarantine --from beginning --max 3") else {
            panic!("not the tail")
        };
        assert_eq!((args.from, args.limit), (tail::From::Beginning, Some(3)));
    }

    #[test]
    fn the_other_verbs_are_read_too() {
        for line in ["run", "topics plan", "topics apply --yes", "schemas list", "checkpoint list"]
        {
            parsed(line);
        }
        assert!(stream("bank").unwrap_err().contains("bank_transactions"));
        assert!(duration("7").is_err());
    }
}
