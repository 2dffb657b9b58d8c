//! Certificates as tests want them: good ones, and each kind of bad one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority that signs whatever it is asked to.
#[derive(Debug)]
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    /// Its certificate, as PEM.
    pub pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// Days from now, from and to which a certificate holds.
pub const VALID: (i64, i64) = (-1, 30);
/// The same of one that has ended.
pub const ENDED: (i64, i64) = (-30, -3);

fn hold(params: &mut CertificateParams, (from, to): (i64, i64)) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let moment = |days: i64| {
        let apart = Duration::from_secs(days.unsigned_abs() * 24 * 3600);
        date_time_ymd(1970, 1, 1) + if days < 0 { now.saturating_sub(apart) } else { now + apart }
    };
    (params.not_before, params.not_after) = (moment(from), moment(to));
    Ok(())
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        hold(&mut params, (-60, 60))?;
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { params, key, pem })
    }

    /// A certificate with these DNS names.
    ///
    /// # Errors
    /// Where a name is none.
    pub fn certify(&self, names: &[&str], days: (i64, i64)) -> Result<Shown> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        hold(&mut params, days)?;
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key))?.pem();
        Ok(Shown { certificate, key: key.serialize_pem() })
    }

    /// Writes what a region needs into a folder, over what is there: `<id>.pem`, `<id>.key` and `<id>.authority.pem`.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, dir: &Path, id: &str, shown: &Shown) -> Result<()> {
        fs::create_dir_all(dir)?;
        let key = dir.join(format!("{id}.key"));
        fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&key)?
            .write_all(shown.key.as_bytes())?;
        fs::write(dir.join(format!("{id}.pem")), &shown.certificate)?;
        Ok(fs::write(dir.join(format!("{id}.authority.pem")), &self.pem)?)
    }
}
