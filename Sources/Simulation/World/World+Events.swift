package import Hypervisors
import SiteModel

// What happens at sites, by hand or on schedule.
extension World {
    /// Lets something happen after so many seconds, should anybody still be waiting for the time then.
    package func after(_ seconds: Double, _ body: @escaping @Sendable (World) -> Void) {
        clock.schedule(after: seconds) { [weak self] in self.map(body) }
    }

    private func hosts(of site: String) -> [String] {
        look { state in state.hosts.values.filter { $0.site == site }.map(\.name).sorted() }
    }

    /// The site is lost at one instant: its VMs are killed, nothing answers, its disks are as they were.
    package func lose(site: String) {
        for host in hosts(of: site) { lose(host: host) }
    }

    package func lose(host: String) { change { $0.lose(host, clock.now) } }

    /// A lost site, or one that was cut off, answers again; its VMs are as they are, off after a loss.
    package func restore(site: String) {
        for host in hosts(of: site) { restore(host: host) }
    }

    ///
    /// A VM that ran on behind a partition while it was failed over on the operator's word now runs twice, until somebody who
    /// knows has looked: `checkAlone` asks after that.
    package func restore(host: String) {
        change { state in
            state.hosts[host]?.isUp = true
            state.hosts[host]?.isCutOff = false
        }
    }

    /// Notes every VM that runs at two places which are both in contact.
    package func checkAlone() {
        change { state in
            for host in state.hosts.keys.sorted() {
                for uuid in state.hosts[host]?.domains.keys.sorted() ?? []
                where state.hosts[host]?.domains[uuid]?.power.isActive == true { state.checkAlone(uuid, at: host) }
            }
        }
    }

    /// The engine cannot reach the site, nor can other sites; what runs there runs on.
    package func cutOff(site: String) {
        for host in hosts(of: site) { change { $0.hosts[host]?.isCutOff = true } }
    }

    /// Cuts or mends the link between two sites.
    package func setLink(_ a: String, _ b: String, cut: Bool) {
        change { state in
            var link = state.link(a, b)
            link.isCut = cut
            state.links[SitePair(a, b)] = link
        }
    }

    package func add(_ fault: Fault) { change { $0.faults.append(fault) } }

    package func clearFaults() { change { $0.faults = [] } }

    /// Other files take the space of a host, down to so many free bytes.
    package func fill(_ host: String, leaving free: UInt64) {
        change { state in
            state.hosts[host]?.ballast = 0
            let now = state.hosts[host]?.freeBytes ?? 0
            state.hosts[host]?.ballast = now > free ? now - free : 0
        }
    }

    /// The store of a host is put back to where it was before the newest point came: the sides diverge.
    ///
    /// Returns the generation of the point that is gone; nil where there is only one, or it is in use.
    @discardableResult
    package func loseNewestPoint(of relationship: String, at host: String) -> String? {
        change { state in
            guard let current = state.hosts[host], var store = current.stores[relationship],
                let newest = store.layers.last, newest.isPoint, store.points.count > 1, store.draft == nil,
                !store.boots.values.contains(where: { $0.generation == newest.generation }),
                !newest.files.values.contains(where: { current.isOpen($0) })
            else { return nil }
            for path in newest.files.values.sorted() { state.hosts[host]?.remove(path) }
            store.layers.removeLast()
            state.hosts[host]?.stores[relationship] = store
            return newest.generation
        }
    }

    // MARK: VMs

    /// QEMU is killed: what was only in its memory, new bitmaps too, is gone.
    package func kill(_ vm: String, at host: String) throws {
        try change { $0.end(try $0.uuid(of: vm, at: host), at: host, .crashed, clock.now) }
    }

    /// The guest powers itself off.
    package func powerOff(_ vm: String, at host: String) throws {
        try change { state in
            let uuid = try state.uuid(of: vm, at: host)
            state.endInOrder(uuid, at: host, clock.now)
        }
    }

    /// Somebody starts the VM at the host, past the engine; false when it does not start.
    ///
    /// With `hook` libvirt asks the host's record first, as it does where the hook is installed. The owner's record lets it start
    /// there even while a copy that was declared lost runs on elsewhere and nobody has looked yet: no engine is asked.
    @discardableResult
    package func startByHand(_ vm: String, at host: String, hook: Bool = false) throws -> Bool {
        try change { state in
            let uuid = try state.uuid(of: vm, at: host)
            guard let current = state.hosts[host], current.domains[uuid]?.power.isActive == false else { return false }
            if hook, current.refusesStart(uuid) { return false }
            state.open(uuid, at: host, clock.now)
            state.run(uuid, at: host, clock.now, byHand: true)
            return true
        }
    }

    /// A disk of the VM gets another size, as by an operator's hand.
    package func resize(_ vm: String, disk: String = "vda", at host: String, to size: UInt64) throws {
        try change { state in
            let uuid = try state.uuid(of: vm, at: host)
            guard let path = state.hosts[host]?.domains[uuid]?.path(of: disk) else { return }
            state.hosts[host]?.change(path) { $0.size = size }
        }
    }

    package func setGuest(_ vm: String, at host: String, _ body: (inout GuestBehaviour) -> Void) throws {
        try change { state in
            let uuid = try state.uuid(of: vm, at: host)
            state.settle(uuid, at: host, clock.now)
            guard var guest = state.hosts[host]?.domains[uuid]?.guest else { return }
            let wrote = guest.writesPerSecond
            body(&guest)
            state.hosts[host]?.domains[uuid]?.guest = guest
            if wrote == 0 && guest.writesPerSecond > 0 {
                state.hosts[host]?.domains[uuid]?.nextWrite = Double(clock.now.milliseconds) * 1000
            }
        }
    }

    /// The guest writes at this instant; false when it does not run there.
    @discardableResult
    package func write(
        _ vm: String, at host: String, disk: String = "vda", offset: UInt64 = 0, length: UInt64 = 4096
    ) throws -> Bool {
        try change { state in
            state.write(
                try state.uuid(of: vm, at: host), at: host, disk: disk, offset: offset, length: length, clock.now)
        }
    }

    // MARK: Looking

    package func power(_ vm: String, at host: String) -> PowerState? {
        look { state in state.hosts[host]?.domains.values.first { $0.name == vm }?.power }
    }

    /// Hosts at which the VM runs now, whether anybody can reach them or not.
    package func running(_ vm: String) -> [String] {
        look { state in
            state.hosts.values.filter { $0.domains.values.contains { $0.name == vm && $0.power == .running } }
                .map(\.name).sorted()
        }
    }

    /// What the VM's disks hold at a host now, by target.
    package func content(_ vm: String, at host: String) throws -> [String: VersionedExtents] {
        try change { state in
            let uuid = try state.uuid(of: vm, at: host)
            state.settle(uuid, at: host, clock.now)
            var content: [String: VersionedExtents] = [:]
            for disk in state.hosts[host]?.domains[uuid]?.disks ?? [] {
                content[disk.target] = disk.path.flatMap { state.hosts[host]?.content($0) }?.flattened
            }
            return content
        }
    }

    /// What a VM had written at one host and is not in its disks at another: what a failover between them lost.
    ///
    /// Ask before the VM has written at the second one, or give the writes that it began with there.
    package func loss(of vm: String, from source: String, to target: String) throws -> Loss {
        try change { state in
            let (there, here) = (try state.uuid(of: vm, at: source), try state.uuid(of: vm, at: target))
            state.settle(there, at: source, clock.now)
            let had = state.mark(there, at: source)
            var kept = state.mark(here, at: target)
            if let began = state.hosts[target]?.domains[here]?.began { kept = began }
            let seconds = had.last.map { last in max(0, last.at.seconds(since: kept.last?.at ?? last.at)) } ?? 0
            return Loss(
                writes: max(0, had.writes - kept.writes), bytes: had.bytes > kept.bytes ? had.bytes - kept.bytes : 0,
                seconds: had.writes > kept.writes ? seconds : 0)
        }
    }
}

/// What a failover lost, exactly.
package struct Loss: Hashable, Sendable {
    package var writes: Int
    package var bytes: UInt64
    /// From the last write that was kept to the last one that was made.
    package var seconds: Double
}
