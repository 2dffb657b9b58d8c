//! Rows that are in no set: they stay where they were written, whatever regions send each other.

use crate::reader;
use crate::tables::PERSON;
use crate::world::World;

impl World {
    /// A region takes a row of a person, who is at home there.
    pub(crate) fn write_person(&mut self) -> Result<(), String> {
        let Some(index) = self.any_up() else { return Ok(()) };
        self.next_serial += 1;
        let (serial, now_ms) = (self.next_serial, self.now_ms);
        let node = &mut self.nodes[index];
        if node.write(PERSON, false, &format!("{{\"serial\":{serial},\"home\":{index}}}\n"), now_ms).is_err() {
            return self.crash(index, true);
        }
        node.persons.insert(serial);
        self.report.count("rows that are in no set");
        Ok(())
    }

    /// Refuses a region that lacks a person of its own, or has one of another region's.
    pub(crate) fn check_persons(&mut self, index: usize) -> Result<(), String> {
        let node = &mut self.nodes[index];
        let failures = node.disk.failures();
        let homes = match reader::homes(node.store.as_ref().unwrap(), &mut node.cache) {
            Ok(homes) => homes,
            Err(_) if node.disk.failures() > failures => return Ok(()),
            Err(error) => return Err(format!("the persons of region {index} cannot be read: {error}")),
        };
        let stranger = homes.iter().find(|(_, home)| **home != index as i64);
        if let Some((serial, home)) = stranger {
            return Err(format!("region {index} has person {serial}, who is at home in region {home}"));
        }
        match node.persons.iter().find(|serial| !homes.contains_key(serial)) {
            Some(serial) => Err(format!("region {index} lacks person {serial}, whose row it took")),
            None => Ok(()),
        }
    }
}
