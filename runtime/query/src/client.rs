//! Who asks, where they stand, and so where an answer's parts go.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::RegionId;
use domicile_wire::receipt::ClientRecord;
use domicile_wire::token::{Claims, RawToken, Role, verify};
use ed25519_dalek::VerifyingKey;

use crate::QueryError;

/// The tenant of everybody who has no token.
const ANONYMOUS: &str = "anonymous";

/// Whose tokens count in a region.
#[derive(Debug, Clone, Default)]
pub struct ClientTrust {
    /// Public keys that sign tokens.
    pub keys: Vec<VerifyingKey>,
    /// Whether clients without a token are answered, as if they stood in the region whose edge they ask.
    pub allow_anonymous: bool,
    /// Whose law holds where, for this region and its peers.
    pub jurisdictions: BTreeMap<RegionId, Vec<String>>,
}

/// Who asks. Only [`ClientTrust`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// None for who has no token.
    claims: Option<Claims>,
    token: Option<RawToken>,
    /// The regions that the client stands at.
    regions: BTreeSet<RegionId>,
}

impl ClientTrust {
    /// Whether two regions are under one law, at least among others.
    pub(crate) fn shares_law(&self, one: &RegionId, other: &RegionId) -> bool {
        let codes = |region: &RegionId| self.jurisdictions.get(region).map_or(&[][..], Vec::as_slice);
        codes(one).iter().any(|code| codes(other).contains(code))
    }

    /// The client that asks the edge of `edge`, as the region `here` sees it. A token that is not accepted is an error,
    /// also where none is needed.
    ///
    /// # Errors
    /// Where there is no token and one is needed, or the token is not accepted.
    pub(crate) fn client(
        &self,
        here: &RegionId,
        edge: &RegionId,
        token: Option<RawToken>,
        now_unix_s: u64,
    ) -> Result<Client, QueryError> {
        let Some(token) = token else {
            let anonymous = || Client { claims: None, token: None, regions: BTreeSet::from([edge.clone()]) };
            let refused = || QueryError::TokenMissing { region: here.clone() };
            return self.allow_anonymous.then(anonymous).ok_or_else(refused);
        };
        let claims = verify(&token, &self.keys, now_unix_s).map_err(|error| {
            tracing::info!(%error, "a token is not accepted");
            QueryError::TokenRefused { region: here.clone() }
        })?;
        let shares = |own: &Vec<String>| own.iter().any(|code| claims.jurisdictions.contains(code));
        let regions = self.jurisdictions.iter().filter(|(_, own)| shares(own)).map(|(region, _)| region.clone());
        Ok(Client { regions: regions.collect(), claims: Some(claims), token: Some(token) })
    }
}

impl Client {
    /// Who shares an interest in what this client learns.
    pub fn tenant(&self) -> &str {
        self.claims.as_ref().map_or(ANONYMOUS, Claims::tenant)
    }

    /// Whether the client stands where `region` does.
    pub fn stands_at(&self, region: &RegionId) -> bool {
        self.regions.contains(region)
    }

    /// The same client at another edge: who has no token stands where they ask.
    pub(crate) fn asking_at(&self, edge: &RegionId) -> Self {
        let regions = if self.claims.is_none() { BTreeSet::from([edge.clone()]) } else { self.regions.clone() };
        Self { regions, ..self.clone() }
    }

    /// Checks that the client may do something.
    ///
    /// # Errors
    /// Where its token does not give the role.
    pub fn check_role(&self, role: Role) -> Result<(), QueryError> {
        let has = self.claims.as_ref().is_none_or(|claims| claims.roles().contains(&role));
        if has { Ok(()) } else { Err(QueryError::RoleMissing { role }) }
    }

    /// Checks that the client may see what only those may who stand at `region`.
    ///
    /// # Errors
    /// Where it stands elsewhere.
    pub fn check_stands_at(&self, region: &RegionId) -> Result<(), QueryError> {
        if self.stands_at(region) { Ok(()) } else { Err(QueryError::ClientElsewhere { region: region.clone() }) }
    }

    /// Checks that the client may state this purpose.
    ///
    /// # Errors
    /// Where its token gives others only.
    pub(crate) fn check_purpose(&self, purpose: Option<&str>) -> Result<(), QueryError> {
        let granted = self.claims.as_ref().and_then(|claims| claims.purposes.as_ref());
        match (purpose, granted) {
            (Some(stated), Some(granted)) if !granted.iter().any(|purpose| purpose == stated) => {
                Err(QueryError::PurposeNotGranted { purpose: stated.to_owned(), granted: granted.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The token, as other regions check it again.
    pub(crate) fn token(&self) -> Option<&RawToken> {
        self.token.as_ref()
    }

    /// As receipts name the client; none for who has no token.
    pub(crate) fn record(&self) -> Option<ClientRecord> {
        let claims = self.claims.as_ref()?;
        Some(ClientRecord {
            issuer: claims.iss.clone(),
            subject: claims.sub.clone(),
            tenant: claims.tenant().to_owned(),
            regions: self.regions.iter().map(ToString::to_string).collect(),
        })
    }

    /// Whether the other is the same client, whatever its token.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let who = |client: &Self| client.claims.as_ref().map(|claims| (claims.iss.clone(), claims.sub.clone()));
        who(self) == who(other)
    }

    /// The regions that what is computed from rows of `home` goes to on its way to this client, who asks the edge of
    /// `edge`: all of them have to be admitted. Empty where it crosses no border.
    ///
    /// # Errors
    /// Where the client stands at no region, so that nobody could say whether it may.
    pub(crate) fn destinations(&self, home: &RegionId, edge: &RegionId) -> Result<BTreeSet<RegionId>, QueryError> {
        let mut regions = BTreeSet::from([edge.clone()]);
        if !self.stands_at(home) {
            if self.regions.is_empty() {
                let jurisdictions = self.claims.as_ref().map(|claims| claims.jurisdictions.clone());
                return Err(QueryError::ClientNowhere { jurisdictions: jurisdictions.unwrap_or_default() });
            }
            regions.extend(self.regions.iter().cloned());
        }
        regions.remove(home);
        Ok(regions)
    }
}

/// Where a region's part of an answer goes, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// The regions that it has to be admitted to; empty where it stays in the region.
    pub(crate) regions: BTreeSet<RegionId>,
    /// The region whose edge is asked.
    pub(crate) edge: RegionId,
    /// Who asks there.
    pub(crate) client: Client,
}

impl Destination {
    /// Where what is computed from rows of `home` goes.
    ///
    /// # Errors
    /// As for [`Client::destinations`].
    pub(crate) fn of(home: &RegionId, edge: &RegionId, client: &Client) -> Result<Self, QueryError> {
        let regions = client.destinations(home, edge)?;
        Ok(Self { regions, edge: edge.clone(), client: client.clone() })
    }

    /// Where what stays in a region goes.
    pub(crate) fn within(here: &RegionId, client: &Client) -> Self {
        Self { regions: BTreeSet::new(), edge: here.clone(), client: client.clone() }
    }

    /// Whether it leaves the region.
    pub(crate) fn crosses(&self) -> bool {
        !self.regions.is_empty()
    }

    /// Who shares an interest in what is learnt from it.
    pub(crate) fn tenant(&self) -> &str {
        self.client.tenant()
    }

    /// The destination as the receipt of `from` names it: the region that the bytes are sent to; where they go from that
    /// region's own edge to a client elsewhere, `client:` and the regions that the client stands at.
    pub(crate) fn label(&self, from: &RegionId) -> String {
        if self.edge != *from {
            return self.edge.to_string();
        }
        let regions: Vec<&str> = self.regions.iter().map(RegionId::as_str).collect();
        format!("client:{}", regions.join(","))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
