//! `sart fib`.

use node_api::v1;

use crate::cli::{Common, Fib};
use crate::{Failure, bgp, connect, output, text};

/// Prefixes asked for at once.
const PAGE: u32 = 5000;

pub(crate) async fn run(common: &Common, what: Fib) -> Result<(), Failure> {
    match what {
        Fib::Get { prefix, family } => {
            let named = bgp::family(family)?;
            let family = bgp::of_family(family, prefix.as_slice())?.unwrap_or(named);
            let mut request = v1::GetFibRequest {
                family: family.to_string(),
                prefix: prefix.map(|p| p.to_string()).unwrap_or_default(),
                limit: PAGE,
                ..Default::default()
            };
            let router = connect::router(common)?;
            let mut entries = Vec::new();
            loop {
                let page = router.fib(request.clone()).await?;
                entries.extend(page.entries);
                match entries.last() {
                    Some(last) if page.more => request.after.clone_from(&last.prefix),
                    _ => break,
                }
            }
            output::answer(common.format(), &entries, |entries| text::fib(entries))
        }
        Fib::Channel(_) => Err(Failure::not_built_yet("the channels of `sartd fib`")),
    }
}
