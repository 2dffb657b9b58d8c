//! The names and versions of `wit/plugin.wit`.
//!
//! A component names the interfaces that it imports and exports with the minor version that it was built for. This host
//! has those of its own minor version and of all older ones: a minor version only ever adds.

use semver::Version;

/// The version of the contract that this host speaks.
pub const CONTRACT_VERSION: &str = "1.1.0";

const MAJOR: u64 = 1;
const MINOR: u64 = 1;

pub(crate) const HOST: &str = "domicile:plugin/host";
pub(crate) const COLUMNS: &str = "domicile:plugin/columns";
pub(crate) const KERNELS: &str = "domicile:plugin/kernels";
pub(crate) const TYPES: &str = "domicile:plugin/types";
const PACKAGE: &str = "domicile:plugin/";

/// The full name of an interface in this host's version.
pub(crate) fn versioned(interface: &str) -> String {
    format!("{interface}@{CONTRACT_VERSION}")
}

/// The worlds of the contract, each known by what it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Functions,
    Mapper,
    Query,
    Merge,
}

impl World {
    pub(crate) const ALL: [Self; 4] = [Self::Functions, Self::Mapper, Self::Query, Self::Merge];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Mapper => "mapper",
            Self::Query => "query",
            Self::Merge => "merge",
        }
    }

    /// Whether the world is pure: the same everywhere and always, and given nothing.
    pub(crate) fn is_pure(self) -> bool {
        self == Self::Merge
    }

    pub(crate) fn of_interface(interface: &str) -> Option<Self> {
        let name = interface.strip_prefix(PACKAGE)?;
        Self::ALL.into_iter().find(|world| world.name() == name)
    }
}

/// What the name of an import or export says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// An interface of the contract, in a version that this host speaks.
    Ours(&'a str),
    /// An interface of the contract, in a version that this host does not speak.
    Unspoken,
    /// Something else.
    Foreign,
}

/// Reads the name of an import or export.
pub(crate) fn read_name(name: &str) -> Named<'_> {
    if !name.starts_with(PACKAGE) {
        return Named::Foreign;
    }
    let spoken = name.split_once('@').filter(|(_, version)| is_spoken(version));
    spoken.map_or(Named::Unspoken, |(interface, _)| Named::Ours(interface))
}

fn is_spoken(version: &str) -> bool {
    Version::parse(version)
        .is_ok_and(|version| version.major == MAJOR && version.minor <= MINOR && version.pre.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for spoken in ["1.0.0", "1.0.7", "1.1.0"] {
            assert_eq!(read_name(&format!("{HOST}@{spoken}")), Named::Ours(HOST), "{spoken}");
        }
        for unspoken in ["0.1.0", "1.2.0", "2.0.0", "1.0", "1", "1.0.0-rc.1", "1.0.0.0", "x", ""] {
            assert_eq!(read_name(&format!("{HOST}@{unspoken}")), Named::Unspoken, "{unspoken}");
        }
        assert_eq!(read_name(HOST), Named::Unspoken);
        assert_eq!(read_name("wasi:io/poll@0.2.0"), Named::Foreign);
    }

    #[test]
    fn the_version_is_that_of_the_numbers() {
        assert_eq!(CONTRACT_VERSION, format!("{MAJOR}.{MINOR}.0"));
        assert_eq!(World::of_interface("domicile:plugin/merge"), Some(World::Merge));
        assert_eq!(World::of_interface(HOST), None);
    }
}
