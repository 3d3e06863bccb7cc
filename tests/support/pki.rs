//! Certificates: CAs, and servers and clients that they vouch for. Keys are ECDSA with P-256 unless
//! a test asks for others.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SignatureAlgorithm, date_time_ymd,
};

/// A CA with a certificate of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, both in PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// The certificate.
    pub(crate) der: Vec<u8>,
}

impl Authority {
    /// A CA with this common name.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// A CA that expired on 2020-02-01.
    pub(crate) fn expired(name: &str) -> Self {
        Self::with(name, |params| params.not_after = date_time_ymd(2020, 2, 1))
    }

    fn with(name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        adjust(&mut params);
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("a CA"))
    }

    /// The certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The certificate in DER.
    pub(crate) fn der(&self) -> &[u8] {
        self.0.der()
    }

    /// A server with these names of DNS and IP addresses.
    pub(crate) fn server(&self, names: &[&str]) -> Leaf {
        self.server_with(names, |_| {})
    }

    /// A server with a certificate that expired on 2020-02-01.
    pub(crate) fn expired_server(&self, names: &[&str]) -> Leaf {
        self.server_with(names, |params| {
            params.not_after = date_time_ymd(2020, 2, 1);
        })
    }

    /// A server with a certificate that becomes valid on 4000-01-01.
    pub(crate) fn future_server(&self, names: &[&str]) -> Leaf {
        self.server_with(names, |params| {
            params.not_before = date_time_ymd(4000, 1, 1);
        })
    }

    /// A server with any other difference.
    pub(crate) fn server_with(
        &self,
        names: &[&str],
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let mut params = named("server");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let named = CertificateParams::new(names).expect("good names");
        params.subject_alt_names = named.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        adjust(&mut params);
        self.sign(&params, &new_key())
    }

    /// A client with this common name, of the organization `Example`.
    pub(crate) fn client(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, name),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, &new_key())
    }

    /// A server with a key of this kind.
    pub(crate) fn server_with_key(&self, name: &str, kind: &'static SignatureAlgorithm) -> Leaf {
        let params = CertificateParams::new([name.to_owned()]).expect("a good name");
        self.sign(&params, &KeyPair::generate_for(kind).expect("a key"))
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Leaf {
        let certificate = params.signed_by(key, &self.0).expect("signed");
        Leaf::of(&certificate, key)
    }
}

impl Leaf {
    /// A certificate of these names, signed with its own key.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("good names");
        Self::of(&made.cert, &made.signing_key)
    }

    fn of(certificate: &Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        }
    }

    /// Writes `NAME.pem` and `NAME.key` into a directory, and returns their paths.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> [PathBuf; 2] {
        let [certificate, key] = ["pem", "key"].map(|kind| dir.join(name).with_extension(kind));
        fs::write(&certificate, &self.certificate).expect("a file");
        fs::write(&key, &self.key).expect("a file");
        [certificate, key]
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
