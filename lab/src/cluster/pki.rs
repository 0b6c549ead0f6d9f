//! The cluster's keys and certificates, made anew for each.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

/// A certificate and its key, both PEM.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// All of them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pki {
    pub(crate) ca: Pair,
    pub(crate) server: Pair,
    /// In the group system:masters; also what the API server shows to kubelets.
    pub(crate) admin: Pair,
    /// Signs service account tokens (PEM).
    pub(crate) service_accounts: String,
    /// Verifies them.
    pub(crate) service_accounts_public: String,
}

impl Pki {
    /// `names` are the DNS names and addresses that the API server is reached by.
    pub(crate) fn generate(names: Vec<String>) -> Result<Pki> {
        let mut params = named("lab-ca", None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let cert = params.self_signed(&key)?.pem();
        let ca = Pair { cert, key: key.serialize_pem() };
        let issuer = Issuer::new(params, key);

        let mut server = named("kube-apiserver", None)?;
        server.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut admin = named("lab-admin", Some("system:masters"))?;
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let service_accounts = KeyPair::generate()?;
        Ok(Pki {
            ca,
            server: signed(server, &issuer)?,
            admin: signed(admin, &issuer)?,
            service_accounts: service_accounts.serialize_pem(),
            service_accounts_public: service_accounts.public_key_pem(),
        })
    }
}

fn named(common_name: &str, organization: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    Ok(params)
}

fn signed(mut params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Pair> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    let key = KeyPair::generate()?;
    Ok(Pair { cert: params.signed_by(&key, issuer)?.pem(), key: key.serialize_pem() })
}

/// A bearer token that nobody guesses.
pub(crate) fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context("make a token")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// RFC 4648 base 64, as kubeconfig files carry certificates.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for index in 0..4 {
            if index <= chunk.len() {
                let six = (bits >> (18 - 6 * index)) & 63;
                text.push(char::from(ALPHABET[six as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn all_pairs_are_made() {
        let pki = Pki::generate(vec!["kubernetes".into(), "10.96.0.1".into()]).unwrap();
        assert!(pki.server.cert.contains("BEGIN CERTIFICATE"));
        assert!(pki.service_accounts.contains("PRIVATE KEY"));
        assert_ne!(token().unwrap(), token().unwrap());
    }
}
