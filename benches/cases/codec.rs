//! Bytes to messages and back.

use std::hint::black_box;

use bgp_packet::{
    BgpNextHop, Message, Options, PeerKind, Verdict, decode, encode_attributes, pack,
};
use gungraun::prelude::*;

use super::{Case, Work, address, attributes, prefix};

pub(crate) const CASES: &[Case] = &[
    Case::new("decode_update", "decode an UPDATE of 300 prefixes, read them", 300, decode_update),
    Case::new(
        "decode_attributes",
        "decode an UPDATE of one, its attributes too",
        1,
        decode_attributes,
    ),
    Case::new("view_attributes", "the same, its attributes only looked at", 1, view_attributes),
    Case::new("encode", "encode a set of attributes", 1, encode),
    Case::new("pack_prefixes", "pack prefixes into UPDATEs", 1000, pack_prefixes),
];

#[library_benchmark]
#[bench::decode_update(decode_update())]
#[bench::decode_attributes(decode_attributes())]
#[bench::view_attributes(view_attributes())]
#[bench::encode(encode())]
#[bench::pack_prefixes(pack_prefixes())]
fn count(mut work: Work) -> Work {
    work();
    work
}

library_benchmark_group!(name = codec, benchmarks = count);

const OPTIONS: Options = Options::new(PeerKind::External);

fn frames(prefixes: u32) -> Vec<Vec<u8>> {
    let set = encode_attributes(&attributes(1, 1), &OPTIONS);
    let hop = BgpNextHop::from(address(1));
    pack(&set, &hop, (0..prefixes).map(prefix), &OPTIONS).unwrap()
}

fn decode_update() -> Work {
    let frame = frames(300).remove(0);
    Box::new(move || {
        let Ok(Message::Update(update)) = decode(black_box(&frame), &OPTIONS) else {
            panic!("no UPDATE");
        };
        let prefixes = update.reach.iter().flat_map(|reach| reach.nlri.iter());
        assert_eq!(prefixes.map(|prefix| u32::from(prefix.len())).sum::<u32>(), 300 * 24);
    })
}

fn decode_attributes() -> Work {
    let frame = frames(1).remove(0);
    Box::new(move || {
        let Ok(Message::Update(update)) = decode(&frame, &OPTIONS) else { panic!("no UPDATE") };
        black_box(matches!(
            update.attributes.decode(&OPTIONS, BgpNextHop::from(address(1))),
            Verdict::Accept(..)
        ));
    })
}

fn view_attributes() -> Work {
    let frame = frames(1).remove(0);
    Box::new(move || {
        let Ok(Message::Update(update)) = decode(&frame, &OPTIONS) else { panic!("no UPDATE") };
        black_box(matches!(
            update.attributes.view(&OPTIONS, BgpNextHop::from(address(1))),
            Verdict::Accept(..)
        ));
    })
}

fn encode() -> Work {
    let set = attributes(1, 1);
    Box::new(move || {
        black_box(encode_attributes(black_box(&set), &OPTIONS));
    })
}

fn pack_prefixes() -> Work {
    let set = encode_attributes(&attributes(1, 1), &OPTIONS);
    let hop = BgpNextHop::from(address(1));
    let prefixes: Vec<_> = (0..1000).map(prefix).collect();
    Box::new(move || {
        black_box(pack(&set, &hop, prefixes.iter().copied(), &OPTIONS).unwrap());
    })
}
