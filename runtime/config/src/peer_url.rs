//! The address of another region's edge.

use std::fmt;
use std::str::FromStr;

/// `http://host:port`, or `https://host:port` for mutual TLS; without path, query or user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerUrl(String);

/// The text is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerUrlError {
    /// Another scheme than `http` and `https`.
    #[error(
        "`{url}` does not start with `http://` or `https://`; peers are reached over HTTP/2, for example \
         http://127.0.0.1:7402"
    )]
    Scheme {
        /// The refused text.
        url: String,
    },
    /// Not a host and a port.
    #[error("`{url}` is not of the form {scheme}host:port")]
    Authority {
        /// The refused text.
        url: String,
        /// How it starts.
        scheme: &'static str,
    },
}

impl PeerUrl {
    /// The whole address, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or(self.0.as_str(), |(_, authority)| authority)
    }

    /// Whether the peer is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with(TLS_SCHEME)
    }
}

const SCHEME: &str = "http://";
const TLS_SCHEME: &str = "https://";

impl FromStr for PeerUrl {
    type Err = PeerUrlError;

    fn from_str(url: &str) -> Result<Self, PeerUrlError> {
        let scheme = [SCHEME, TLS_SCHEME].into_iter().find(|scheme| url.starts_with(scheme));
        let scheme = scheme.ok_or_else(|| PeerUrlError::Scheme { url: url.to_owned() })?;
        let rest = &url[scheme.len()..];
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let port_is_good = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p != 0);
        if !is_host(host) || !port_is_good {
            return Err(PeerUrlError::Authority { url: url.to_owned(), scheme });
        }
        Ok(Self(format!("{scheme}{authority}")))
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expect: Result<&str, &str>) {
        let got = url.parse::<PeerUrl>().map(|url| url.authority().to_owned()).map_err(|error| error.to_string());
        assert_eq!(got, expect.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn only_a_host_and_a_port() {
        check("http://127.0.0.1:7402", Ok("127.0.0.1:7402"));
        check("http://us-east.example:80/", Ok("us-east.example:80"));
        check("http://[::1]:7402", Ok("[::1]:7402"));
        check("https://us-east.example:7502", Ok("us-east.example:7502"));
        let form = |url: &str| format!("`{url}` is not of the form http://host:port");
        for url in [
            "http://127.0.0.1",
            "http://:7402",
            "http://a:0",
            "http://a:+80",
            "http://a:65536",
            "http://a:80/v1",
            "http://user@a:80",
            "http://::1:80",
            "http://a b:80",
            "http://[a]:80",
        ] {
            check(url, Err(&form(url)));
        }
        check("https://a", Err("`https://a` is not of the form https://host:port"));
        check(
            "ftp://a:80",
            Err(
                "`ftp://a:80` does not start with `http://` or `https://`; peers are reached over HTTP/2, for example http://127.0.0.1:7402",
            ),
        );
    }
}
