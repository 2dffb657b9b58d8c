//! `domicile certs`: an authority and certificates for trying mutual TLS out. Who has an authority uses that instead.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use domicile_types::limits::CERTIFICATE_DAYS_MAX;
use domicile_types::{RegionId, Secret};
use domicile_wire::client::now_unix_ms;
use domicile_wire::tls::{PeerTls, Pem, TlsError};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use serde_json::{Value, json};

use crate::output::{Failure, Output, say};
use crate::private_file;

/// The name of every authority that is made here; which one signed is told by the key.
const AUTHORITY_NAME: &str = "Domicile authority for trying things out";
/// By how much clocks of regions may be behind for new certificates to hold there.
const SKEW_S: u64 = 3600;
const DAY_S: u64 = 24 * 3600;

#[derive(Debug, Subcommand)]
pub(crate) enum CertsVerb {
    /// Make an authority for trying things out, and a certificate with its key for each region. Where the folder has an
    /// authority from an earlier run, the new certificates are of that one.
    Init {
        /// A region's id; may be given several times.
        #[arg(long = "region", required = true, value_name = "ID")]
        regions: Vec<RegionId>,
        /// The folder for the files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Days for which the regions' certificates hold.
        #[arg(long, default_value_t = 365, value_name = "N",
              value_parser = clap::value_parser!(u32).range(1..=i64::from(CERTIFICATE_DAYS_MAX)))]
        days: u32,
    },
}

pub(crate) fn run(output: Output, verb: &CertsVerb) -> Result<(), Failure> {
    let CertsVerb::Init { regions, out, days } = verb;
    let names: Vec<Names> = regions.iter().map(|region| Names::of(region, out)).collect();
    // All or nothing: no file is written before it is known that none is in the way.
    for (index, of) in names.iter().enumerate() {
        if names[..index].iter().any(|earlier| earlier.region == of.region) {
            return Err(Failure::usage(format!("`{}` is given twice; name each region once", of.region)));
        }
        if let Some(taken) = [&of.certificate, &of.key].into_iter().find(|path| path.exists()) {
            return Err(private_file::is_there(taken, UNUSED));
        }
    }
    let authority = Authority::in_folder(out)?;
    let made: Vec<Made> = names.into_iter().map(|of| authority.make(of, *days)).collect::<Result<_, _>>()?;
    if authority.is_new {
        private_file::create(&authority.key_file, authority.key.as_bytes(), UNUSED)?;
        private_file::create_public(&authority.file, authority.pem.as_bytes(), UNUSED)?;
    }
    for made in &made {
        private_file::create(&made.names.key, made.key.as_bytes(), UNUSED)?;
        private_file::create_public(&made.names.certificate, made.certificate.as_bytes(), UNUSED)?;
    }
    let made: Vec<Names> = made.into_iter().map(|made| made.names).collect();
    output.show(&document(&authority, &made, *days), || explain(&authority, &made, *days));
    Ok(())
}

const UNUSED: &str = "no region uses it";

/// The files of one region.
struct Names {
    region: RegionId,
    certificate: PathBuf,
    key: PathBuf,
}

impl Names {
    fn of(region: &RegionId, out: &Path) -> Self {
        let file = |kind: &str| out.join(format!("{region}.{kind}"));
        Self { region: region.clone(), certificate: file("pem"), key: file("key") }
    }
}

/// A certificate and its key, as PEM.
struct Made {
    names: Names,
    certificate: String,
    key: String,
}

/// Who signs.
struct Authority {
    file: PathBuf,
    key_file: PathBuf,
    pem: String,
    key: String,
    is_new: bool,
}

impl Authority {
    /// The authority of an earlier run, or a new one.
    fn in_folder(out: &Path) -> Result<Self, Failure> {
        // No region's id has a dot, so no region's files are called so.
        let (file, key_file) = (out.join("authority.ca.pem"), out.join("authority.ca.key"));
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::usage(format!("{}: {error}", path.display()))),
        };
        match (read(&file)?, read(&key_file)?) {
            (Some(pem), Some(key)) => Ok(Self { file, key_file, pem, key, is_new: false }),
            (None, None) => {
                let key = KeyPair::generate().map_err(unmade)?;
                let pem = authority_params()?.self_signed(&key).map_err(unmade)?.pem();
                Ok(Self { file, key_file, pem, key: key.serialize_pem(), is_new: true })
            }
            (Some(_), None) => Err(halved(&file, &key_file)),
            (None, Some(_)) => Err(halved(&key_file, &file)),
        }
    }

    /// A certificate for a region, held against the authority as the region will hold it.
    fn make(&self, names: Names, days: u32) -> Result<Made, Failure> {
        let foreign = |detail: String| {
            let (file, key) = (self.file.display(), self.key_file.display());
            Failure::usage(format!("{file} and {key} make no certificate that counts: {detail}; name another --out"))
        };
        let signer = KeyPair::from_pem(&self.key).map_err(|e| foreign(e.to_string()))?;
        let key = KeyPair::generate().map_err(unmade)?;
        let params = authority_params()?;
        let issuer = Issuer::from_params(&params, signer);
        let certificate = region_params(&names.region, days)?.signed_by(&key, &issuer).map_err(unmade)?.pem();
        let key = key.serialize_pem();
        let secret = Secret::new(key.as_bytes());
        let pem = Pem { certificate: certificate.as_bytes(), key: &secret, authority: self.pem.as_bytes() };
        PeerTls::new(&names.region, pem, now_unix_ms() / 1000).map_err(|error| match error {
            TlsError::NoDnsName { .. } => Failure::usage(error),
            error => foreign(error.to_string()),
        })?;
        Ok(Made { names, certificate, key })
    }
}

fn halved(there: &Path, missing: &Path) -> Failure {
    let (there, missing) = (there.display(), missing.display());
    Failure::usage(format!("{there} is there and {missing} is not; put it back, or name another --out"))
}

fn unmade(error: rcgen::Error) -> Failure {
    Failure::usage(format!("no certificate could be made: {error}"))
}

fn authority_params() -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(Vec::new()).map_err(unmade)?;
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    hold(&mut params, CERTIFICATE_DAYS_MAX);
    Ok(params)
}

fn region_params(region: &RegionId, days: u32) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(vec![region.to_string()]).map_err(unmade)?;
    params.distinguished_name.push(DnType::CommonName, region.as_str());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    hold(&mut params, days);
    Ok(params)
}

/// From now, and a little before, for so many days.
fn hold(params: &mut CertificateParams, days: u32) {
    let (epoch, now_s) = (date_time_ymd(1970, 1, 1), now_unix_ms() / 1000);
    params.not_before = epoch + std::time::Duration::from_secs(now_s.saturating_sub(SKEW_S));
    params.not_after = epoch + std::time::Duration::from_secs(now_s + u64::from(days) * DAY_S);
}

fn document(authority: &Authority, made: &[Names], days: u32) -> Value {
    let region = |names: &Names| {
        json!({
            "region": names.region.as_str(),
            "certificate": shown(&names.certificate), "key": shown(&names.key),
        })
    };
    json!({
        "authority": shown(&authority.file), "authority_key": shown(&authority.key_file),
        "authority_is_new": authority.is_new, "days": days, "regions": made.iter().map(region).collect::<Vec<_>>(),
    })
}

/// The whole path, so that it means the same in a region's file, wherever that is.
fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn explain(authority: &Authority, made: &[Names], days: u32) {
    let which = if authority.is_new { "a new authority" } else { "the authority that was there" };
    say!("Certificates of {which}, for {days} days. In each region's file:");
    for names in made {
        say!("\n# {}: besides `http`, an address that the other regions reach", names.region);
        say!("[listen]\npeers = \"127.0.0.1:7501\"\n");
        say!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"", shown(&names.certificate), shown(&names.key));
        say!("authority = \"{}\"", shown(&authority.file));
    }
    say!("\nEach [[peer]] then has url = \"https://HOST:PORT\", with the address in `peers` of that region's file.");
    say!(
        "{} can make certificates for every region: no region needs it, so keep it somewhere else.",
        shown(&authority.key_file)
    );
}
