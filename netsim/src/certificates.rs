//! Certificates of regions, made anew for every run.

use std::time::{SystemTime, UNIX_EPOCH};

use domicile_types::{RegionId, Secret};
use domicile_wire::tls::{PeerTls, Pem};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Who says which certificate is for which region.
#[derive(Debug)]
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    /// A new one, which nobody knows.
    ///
    /// # Errors
    /// Where the key cannot be made.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { params, key, pem })
    }

    /// What a region shows, and accepts of others.
    ///
    /// # Errors
    /// Where the certificate cannot be made.
    pub fn certify(&self, region: &RegionId) -> Result<PeerTls, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(vec![region.to_string()])?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key))?.pem();
        let secret = Secret::new(key.serialize_pem().as_bytes());
        let pem = Pem { certificate: certificate.as_bytes(), key: &secret, authority: self.pem.as_bytes() };
        let now_unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(PeerTls::new(region, pem, now_unix_s)?)
    }
}
