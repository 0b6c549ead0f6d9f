use crate::logging::LogArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
}

pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()
}
