//! What is between the regions: a link for each region that asks another.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::link::{Link, Mode, Observe, Traffic};
use super::options::Options;
use super::recorder::Recorder;
use super::tap::{Exchange, Tap};
use crate::regions::{self, RegionFile};

/// The links of a cluster, and whoever listens in at them.
#[derive(Debug, Clone, Default)]
pub struct Network {
    ways: Vec<Way>,
    taps: Vec<Arc<Tap>>,
    recorder: Option<Arc<Recorder>>,
}

#[derive(Debug, Clone)]
struct Way {
    asking: String,
    asked: String,
    link: Link,
}

impl Network {
    /// Puts a link in front of each peer of each region, as far as the options ask for it.
    pub(super) fn between(files: &[RegionFile], options: &Options) -> Result<Self> {
        let mut network = Self::default();
        for asking in files {
            for asked in files.iter().filter(|file| file.id != asking.id) {
                if options.record == Some((asking.id.as_str(), asked.id.as_str())) {
                    let recorder = Arc::new(Recorder::default());
                    network.recorder = Some(Arc::clone(&recorder));
                    network.add(asking, asked, Some(recorder))?;
                } else if options.meter {
                    let tap = Arc::new(Tap::new(&asking.id, &asked.id));
                    network.taps.push(Arc::clone(&tap));
                    network.add(asking, asked, Some(tap))?;
                } else if options.links {
                    network.add(asking, asked, None)?;
                }
            }
        }
        Ok(network)
    }

    fn add(&mut self, asking: &RegionFile, asked: &RegionFile, observer: Option<Arc<dyn Observe>>) -> Result<()> {
        let link = Link::start(asked.peer_address(), observer)?;
        regions::redirect_peer(&asking.config, &asked.id, &link.address())?;
        self.ways.push(Way { asking: asking.id.clone(), asked: asked.id.clone(), link });
        Ok(())
    }

    /// What one region asks another is treated so from now on; what the other asks is not.
    ///
    /// # Errors
    /// Where there is no such link, or the port of its proxy cannot be had again.
    pub fn set_one_way(&self, asking: &str, asked: &str, mode: Mode) -> Result<()> {
        self.link(asking, asked)?.set_mode(mode)
    }

    /// What two regions ask each other is treated so from now on.
    ///
    /// # Errors
    /// As for [`Network::set_one_way`].
    pub fn set(&self, one: &str, other: &str, mode: Mode) -> Result<()> {
        self.set_one_way(one, other, mode)?;
        self.set_one_way(other, one, mode)
    }

    /// Everything goes through again.
    ///
    /// # Errors
    /// As for [`Network::set_one_way`].
    pub fn heal(&self) -> Result<()> {
        self.ways.iter().try_for_each(|way| way.link.set_mode(Mode::Pass))
    }

    /// Delays whatever regions send each other, questions and answers alike.
    pub fn set_delay(&self, delay: Duration) {
        self.ways.iter().for_each(|way| way.link.set_delay(delay));
    }

    /// No more bytes a second go through, each way between any two regions, from now on; 0 lets everything through.
    pub fn set_rate(&self, bytes_per_s_max: u64) {
        self.ways.iter().for_each(|way| way.link.set_rate(bytes_per_s_max));
    }

    /// What went through a link so far.
    ///
    /// # Errors
    /// Where there is no such link.
    pub fn traffic(&self, asking: &str, asked: &str) -> Result<Traffic> {
        Ok(self.link(asking, asked)?.traffic())
    }

    /// Where a region reaches another: the address of the proxy, as `host:port`.
    ///
    /// # Errors
    /// Where there is no such link.
    pub fn address(&self, asking: &str, asked: &str) -> Result<String> {
        Ok(self.link(asking, asked)?.address())
    }

    /// What regions asked of each other so far, where it was metered.
    ///
    /// # Errors
    /// Where something passed that is no HTTP/2.
    pub fn exchanges(&self) -> Result<Vec<Exchange>> {
        let exchanges = self.taps.iter().map(|tap| tap.exchanges()).collect::<Result<Vec<_>>>()?;
        Ok(exchanges.concat())
    }

    /// What went past the recorder so far, both ways.
    pub(super) fn recording(&self) -> Vec<u8> {
        self.recorder.as_ref().map(|recorder| recorder.bytes()).unwrap_or_default()
    }

    fn link(&self, asking: &str, asked: &str) -> Result<&Link> {
        let way = self.ways.iter().find(|way| way.asking == asking && way.asked == asked);
        way.map(|way| &way.link).with_context(|| format!("there is no link from {asking} to {asked}"))
    }
}
