use inet::{Prefix, split_mix};
use std::net::IpAddr;

/// SipHash-1-3 under a secret key: a peer that chooses prefixes and attributes cannot choose
/// where they fall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    k0: u64,
    k1: u64,
}

struct Sip([u64; 4]);

impl Keyed {
    /// Spreads a seed over the whole key.
    pub(crate) fn new(mut seed: u64) -> Keyed {
        Keyed { k0: split_mix(&mut seed), k1: split_mix(&mut seed) }
    }

    fn start(self) -> Sip {
        Sip([
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    pub(crate) fn bytes(self, data: &[u8]) -> u64 {
        let mut sip = self.start();
        let mut chunks = data.chunks_exact(8);
        for chunk in &mut chunks {
            sip.absorb(little_endian(chunk));
        }
        let last = little_endian(chunks.remainder()) | (data.len() as u64) << 56;
        sip.absorb(last);
        sip.finish()
    }

    pub(crate) fn numbers<'a>(self, numbers: impl Iterator<Item = &'a u32>) -> u64 {
        let mut sip = self.start();
        for number in numbers {
            sip.absorb(u64::from(*number));
        }
        sip.finish()
    }

    pub(crate) fn prefix(self, prefix: &Prefix) -> u64 {
        let mut sip = self.start();
        match prefix.address() {
            IpAddr::V4(a) => sip.absorb(u64::from(u32::from(a)) << 8 | u64::from(prefix.len())),
            IpAddr::V6(a) => {
                let bits = u128::from(a);
                sip.absorb((bits >> 64) as u64);
                sip.absorb(bits as u64);
                sip.absorb(u64::from(prefix.len()));
            }
        }
        sip.finish()
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

impl Sip {
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.0.iter().fold(0, |all, v| all ^ v)
    }

    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.0;
        *v0 = v0.wrapping_add(*v1);
        *v2 = v2.wrapping_add(*v3);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v1);
        *v0 = v0.wrapping_add(*v3);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::*;

    #[test]
    fn equals_the_standard_librarys_sip_1_3_under_its_key_of_zeros() {
        let zeros = Keyed { k0: 0, k1: 0 };
        for len in 0..40u8 {
            let data: Vec<u8> = (0..len).map(|n| n.wrapping_mul(37)).collect();
            let mut reference = DefaultHasher::new();
            reference.write(&data);
            assert_eq!(zeros.bytes(&data), reference.finish(), "{len} bytes");
        }
    }

    #[test]
    fn another_seed_is_another_order() {
        let prefix = "10.0.0.0/24".parse().unwrap();
        assert_ne!(Keyed::new(1).prefix(&prefix), Keyed::new(2).prefix(&prefix));
        assert_ne!(Keyed::new(1).bytes(b""), Keyed::new(2).bytes(b""));
    }
}
