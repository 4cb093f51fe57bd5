import BlockReplication
import Hypervisors
import SiteModel

// What guests do by themselves, and what happens to them.
//
// A guest's writes are made up when somebody looks: until then only the time of the next one is known.
extension WorldState {
    /// Lets a running guest have written all that it writes until now.
    mutating func settle(_ uuid: String, at host: String, _ now: Timestamp) {
        guard let domain = hosts[host]?.domains[uuid], domain.power == .running, !domain.isFrozen,
            domain.guest.writesPerSecond > 0
        else { return }
        let disks = domain.writable
        guard !disks.isEmpty else { return }
        let sizes = disks.map { $0.path.flatMap { hosts[host]?.files[$0]?.size } ?? 0 }
        let until = Double(now.milliseconds) * 1000
        let interval = 1_000_000 / domain.guest.writesPerSecond
        var (next, chance) = (domain.nextWrite, domain.chance)
        while next <= until {
            let index = Int(chance.next(below: UInt64(disks.count)))
            let size = sizes[index]
            let length = min(domain.guest.writeBytes, size)
            let places = max(1, min(domain.guest.workingSet, size) / max(1, length))
            let offset = chance.next(below: places) * length
            write(
                uuid, at: host, disk: index, path: disks[index].path, offset: offset, length: length,
                time: Timestamp(milliseconds: Int64(next / 1000)))
            next += interval
        }
        hosts[host]?.domains[uuid]?.nextWrite = next
        hosts[host]?.domains[uuid]?.chance = chance
    }

    /// One write of a guest: to its disk, and what was there to the scratch file of an open backup.
    private mutating func write(
        _ uuid: String, at host: String, disk index: Int, path: String?, offset: UInt64, length: UInt64, time: Timestamp
    ) {
        guard let path, length > 0 else { return }
        let stamp = WriteStamp(version: lastVersion + 1, at: time)
        if hosts[host]?.write(uuid, disk: index, path, offset: offset, length: length, stamp) == true {
            lastVersion += 1
        }
    }

    /// A write made by hand; false when the VM does not run there.
    mutating func write(
        _ uuid: String, at host: String, disk target: String, offset: UInt64, length: UInt64, _ now: Timestamp
    ) -> Bool {
        settle(uuid, at: host, now)
        guard let domain = hosts[host]?.domains[uuid], domain.power == .running, !domain.isFrozen,
            let index = domain.writable.firstIndex(where: { $0.target == target })
        else { return false }
        write(
            uuid, at: host, disk: index, path: domain.writable[index].path, offset: offset, length: length, time: now)
        return true
    }

    /// What a guest has written to all its disks at a host.
    func mark(_ uuid: String, at host: String) -> WriteMark {
        var total = WriteMark()
        for disk in hosts[host]?.domains[uuid]?.writable ?? [] {
            guard let mark = disk.path.flatMap({ hosts[host]?.files[$0]?.mark }) else { continue }
            total.writes += mark.writes
            total.bytes += mark.bytes
            if let last = mark.last, last.version > total.last?.version ?? 0 { total.last = last }
        }
        return total
    }

    /// The VM's CPUs begin to run, after its start or after a pause.
    ///
    /// A start `byHand` is no engine's doing: that the VM is active elsewhere is asked by `World.checkAlone`.
    mutating func run(_ uuid: String, at host: String, _ now: Timestamp, byHand: Bool = false) {
        guard let domain = hosts[host]?.domains[uuid] else { return }
        hosts[host]?.domains[uuid]?.power = .running
        if !domain.isFrozen {
            hosts[host]?.domains[uuid]?.nextWrite = Double(now.milliseconds) * 1000 + domain.nextWrite
        }
        if !byHand { checkAlone(uuid, at: host) }
        if domain.guest.powersOffAtBoot { end(uuid, at: host, .off, now) }
    }

    mutating func pause(_ uuid: String, at host: String, _ now: Timestamp) {
        settle(uuid, at: host, now)
        guard let domain = hosts[host]?.domains[uuid], domain.power == .running else { return }
        hosts[host]?.domains[uuid]?.power = .paused
        if !domain.isFrozen {
            hosts[host]?.domains[uuid]?.nextWrite = max(0, domain.nextWrite - Double(now.milliseconds) * 1000)
        }
    }

    /// The guest's agent freezes its file systems: what it would write waits.
    mutating func freeze(_ uuid: String, at host: String, _ now: Timestamp) {
        settle(uuid, at: host, now)
        guard let domain = hosts[host]?.domains[uuid], domain.power == .running, !domain.isFrozen else { return }
        hosts[host]?.domains[uuid]?.isFrozen = true
        hosts[host]?.domains[uuid]?.nextWrite = max(0, domain.nextWrite - Double(now.milliseconds) * 1000)
    }

    mutating func thaw(_ uuid: String, at host: String, _ now: Timestamp) {
        guard let domain = hosts[host]?.domains[uuid], domain.isFrozen else { return }
        hosts[host]?.domains[uuid]?.isFrozen = false
        guard domain.power == .running else { return }
        hosts[host]?.domains[uuid]?.nextWrite = Double(now.milliseconds) * 1000 + domain.nextWrite
    }

    /// QEMU begins: disks are opened, the CPUs stand still.
    mutating func open(_ uuid: String, at host: String, _ now: Timestamp) {
        guard let domain = hosts[host]?.domains[uuid] else { return }
        let before = mark(uuid, at: host)
        let guest = domain.guest
        hosts[host]?.domains[uuid]?.live = domain.stored
        hosts[host]?.domains[uuid]?.power = .paused
        hosts[host]?.domains[uuid]?.bootedAt = now
        hosts[host]?.domains[uuid]?.began = before
        hosts[host]?.domains[uuid]?.goesDown = false
        hosts[host]?.domains[uuid]?.nextWrite =
            guest.bootSeconds * 1_000_000 + (guest.writesPerSecond > 0 ? 1_000_000 / guest.writesPerSecond : 0)
        for path in domain.writable.compactMap(\.path) {
            hosts[host]?.change(path) { file in
                for index in file.bitmaps.indices { file.bitmaps[index].isInFile = true }
            }
        }
    }

    /// QEMU ends: in good order (`off`), or killed (`crashed`).
    mutating func end(_ uuid: String, at host: String, _ power: PowerState, _ now: Timestamp) {
        settle(uuid, at: host, now)
        guard let domain = hosts[host]?.domains[uuid], domain.power.isActive else { return }
        for path in domain.writable.compactMap(\.path) {
            hosts[host]?.change(path) { $0.close(clean: power != .crashed) }
        }
        hosts[host]?.domains[uuid]?.power = power
        hosts[host]?.backups[uuid] = nil
        hosts[host]?.domains[uuid]?.goesDown = false
        hosts[host]?.domains[uuid]?.isFrozen = false
        if domain.stored == nil {
            hosts[host]?.domains[uuid] = nil
        } else {
            hosts[host]?.domains[uuid]?.live = nil
        }
    }

    /// A guest powers itself off: what it had written is on its console.
    mutating func endInOrder(_ uuid: String, at host: String, _ now: Timestamp) {
        settle(uuid, at: host, now)
        let written = mark(uuid, at: host).writes
        hosts[host]?.domains[uuid]?.writesAtPowerOff = written
        end(uuid, at: host, .off, now)
    }

    /// Everything at a host ends at one instant; nobody is left who knows why.
    mutating func lose(_ host: String, _ now: Timestamp) {
        endGuests(host, now)
        for uuid in hosts[host]?.domains.keys.sorted() ?? [] { hosts[host]?.domains[uuid]?.power = .off }
        hosts[host]?.isUp = false
        hosts[host]?.confirmed = []
        for relationship in hosts[host]?.stores.keys.sorted() ?? [] { dropDraft(relationship, at: host) }
    }

    mutating func endGuests(_ host: String, _ now: Timestamp) {
        for uuid in hosts[host]?.domains.keys.sorted() ?? [] { end(uuid, at: host, .crashed, now) }
    }

    mutating func dropDraft(_ relationship: String, at host: String) {
        guard let draft = hosts[host]?.stores[relationship]?.draft else { return }
        hosts[host]?.release(draft.bytes)
        hosts[host]?.stores[relationship]?.draft = nil
        truth[draft.request.generation] = nil
    }

    // MARK: What must never be

    /// Notes a VM that runs at two places which are both in contact.
    mutating func checkAlone(_ uuid: String, at host: String) {
        guard hosts[host]?.answers == true else { return }
        let places = hosts.values.filter { $0.answers && $0.writes(uuid) }.map(\.name).sorted()
        if places.count > 1 {
            violate("\(hosts[host]?.domains[uuid]?.name ?? uuid) is active at \(places.joined(separator: " and "))")
        }
        checkAutostart(uuid, at: host)
    }

    mutating func checkAutostart(_ uuid: String, at host: String) {
        guard let domain = hosts[host]?.domains[uuid], domain.power.isActive, domain.autostart,
            hosts[host]?.ownership.values.contains(where: { $0.vmUUID == uuid }) == true
        else { return }
        violate("\(domain.name) starts by itself at \(host)")
    }

    /// Notes a start by an engine at a host whose own record names another owner.
    mutating func checkStart(_ uuid: String, at host: String) {
        guard let record = hosts[host]?.ownership.values.first(where: { $0.vmUUID == uuid }),
            let id = hosts[host]?.vaultID, record.owner != id
        else { return }
        violate("\(hosts[host]?.domains[uuid]?.name ?? uuid) is started at \(host), which is not its owner")
    }
}
