import Hypervisors
package import SiteModel

/// A description of sites, written by hand or recorded, of which worlds are made.
///
///     {"sites": [{"name": "a", "hosts": [{"name": "host-a", "networks": ["gold-net"], "vms": [
///        {"name": "orders", "disks": [{"target": "vda", "size": "40GiB", "used": "12GiB"}],
///         "nics": [{"network": "gold-net"}], "writes": {"rate": 10, "size": "64KiB"}}]}]}]}
package struct SiteFile: Sendable {
    /// The world at its beginning.
    package private(set) var state: WorldState
    private var incidents: [(after: Double, body: @Sendable (World) -> Void)] = []

    /// Reads a description; `seed` goes before the one that it names.
    package init(json text: String, seed: UInt64? = nil) throws {
        let root = try FileNode(json: text).fields([
            "format", "seed", "sites", "links", "incidents", "faults", "comment",
        ])
        _ = try root.count("format", 1...1)
        state = WorldState(seed: try seed ?? root.count("seed", 0...Int.max).map { UInt64($0) } ?? 1)
        let sites = try root.list("sites")
        guard !sites.isEmpty else {
            throw root.node.refused("sites", given: "missing or empty", allowed: "a list of one site or more")
        }
        var names: Set<String> = []
        for node in sites {
            let site = try node.fields(["name", "hosts", "comment"])
            let name = try site.name("name")
            guard names.insert(name).inserted else {
                throw node.refused("name", given: name, allowed: "a name that no other site has")
            }
            for host in try site.list("hosts") { try addHost(host, site: name) }
        }
        for node in try root.list("links") { try addLink(node, sites: names) }
        for node in try root.list("faults") { state.faults.append(try fault(node)) }
        for node in try root.list("incidents") { incidents.append(try incident(node, sites: names)) }
    }

    /// A world of this description; its incidents wait for their time.
    ///
    /// - Parameter start: what its clock shows at first; a day long ago unless it is said.
    package func makeWorld(
        order: SimulationExecutor.Order = .arrival, startingAt start: Timestamp? = nil
    ) -> World {
        var state = state
        if let start { state.begin(at: start) }
        let world = World(state, order: order)
        for incident in incidents { world.after(incident.after, incident.body) }
        return world
    }

    // MARK: Hosts and VMs

    private mutating func addHost(_ node: FileNode, site: String) throws {
        let host = try node.fields([
            "name", "cluster", "store", "capacity", "free", "networks", "read", "write", "fence", "vms", "comment",
        ])
        let name = try host.name("name")
        guard state.hosts[name] == nil else {
            throw node.refused("name", given: name, allowed: "a name that no other host has")
        }
        state.addHost(
            name, site: site, networks: Set(try host.names("networks") ?? []),
            capacity: try host.size("capacity") ?? 4 << 40,
            store: try host.text("store") ?? "/var/lib/perilune/store")
        state.hosts[name]?.cluster = try host.text("cluster")
        if let read = try host.size("read") { state.hosts[name]?.speeds.readBytesPerSecond = Double(max(1, read)) }
        if let write = try host.size("write") { state.hosts[name]?.speeds.writeBytesPerSecond = Double(max(1, write)) }
        if let fence = try host.choice("fence", FenceBehaviour.self) { state.hosts[name]?.fence = fence }
        for vm in try host.list("vms") { try addVMs(vm, at: name) }
        if let free = try host.size("free") {
            let now = state.hosts[name]?.freeBytes ?? 0
            guard free <= now else {
                throw node.refused("free", given: free, allowed: "at most what the VMs' disks leave, \(now) bytes")
            }
            state.hosts[name]?.ballast = now - free
        }
    }

    private mutating func addVMs(_ node: FileNode, at host: String) throws {
        let fields = try node.fields([
            "name", "uuid", "count", "memory", "power", "autostart", "disks", "nics", "address", "writes",
            "power_button", "guest_agent",
            "shut_down", "boot", "definition", "comment",
        ])
        let name = try fields.name("name")
        var vm = NewVM(name: name, disks: try fields.list("disks").map(disk))
        vm.uuid = try fields.text("uuid")
        vm.definition = try fields.longText("definition")
        guard !vm.disks.isEmpty || vm.definition != nil else {
            throw node.refused("disks", given: "missing or empty", allowed: "a list of one disk or more")
        }
        if let memory = try fields.size("memory") { vm.memoryMiB = Int(memory >> 20) }
        vm.isRunning = try fields.choice("power", FilePower.self) != .off
        vm.autostart = try fields.flag("autostart") ?? true
        vm.nics = try fields.list("nics").map(nic)
        vm.guest = try guest(fields)
        guard let count = try fields.count("count", 1...100_000) else { return try add(vm, node, at: host) }
        guard vm.uuid == nil, vm.definition == nil, vm.guest.address == nil else {
            throw node.refused(
                "count", given: count, allowed: "only for VMs without uuid, definition and address of their own")
        }
        for number in 1...count {
            var one = vm
            one.name = "\(name)\(number)"
            try add(one, node, at: host)
        }
    }

    private mutating func add(_ vm: NewVM, _ node: FileNode, at host: String) throws {
        let uuid = vm.uuid ?? NewVM.uuid(vm.name)
        let others = state.hosts[host]?.domains ?? [:]
        guard others[uuid] == nil, !others.values.contains(where: { $0.name == vm.name }) || others.count > 500 else {
            throw node.refused("name", given: vm.name, allowed: "a name and UUID that no other VM of the host has")
        }
        do {
            try state.addVM(vm, at: host)
        } catch let error as HypervisorError {
            throw SimulationError(
                .invalidSite, "\(node.path): \(error.message)", hint: error.hint ?? "correct the definition")
        }
    }

    private func disk(_ node: FileNode) throws -> NewDisk {
        let fields = try node.fields(["target", "size", "used", "format", "path"])
        guard let size = try fields.size("size"), size >= 512 else {
            throw node.refused("size", given: fields.given("size"), allowed: "a size such as \"40GiB\"")
        }
        let used = try fields.size("used") ?? size / 4
        guard used <= size else { throw node.refused("used", given: used, allowed: "at most the disk's size, \(size)") }
        var disk = NewDisk(target: try fields.name("target"), size: size, used: used)
        if let format = try fields.choice("format", FileFormat.self) { disk.format = format.rawValue }
        disk.path = try fields.text("path")
        return disk
    }

    private func nic(_ node: FileNode) throws -> NewNIC {
        let fields = try node.fields(["network", "mac"])
        return NewNIC(network: try fields.text("network"), mac: try fields.text("mac"))
    }

    private func guest(_ fields: FileFields) throws -> GuestBehaviour {
        var guest = GuestBehaviour()
        guest.address = try fields.text("address")
        guest.ignoresPowerButton = try fields.choice("power_button", FilePowerButton.self) == .ignores
        if let agent = try fields.choice("guest_agent", GuestAgentBehaviour.self) { guest.agent = agent }
        if let seconds = try fields.duration("shut_down") { guest.shutDownSeconds = seconds }
        if let seconds = try fields.duration("boot") { guest.bootSeconds = seconds }
        guard let writes = try fields.child("writes")?.fields(["rate", "size", "working_set"]) else { return guest }
        guest.writesPerSecond = try writes.number("rate", 0...100_000) ?? 1
        if let size = try writes.size("size") { guest.writeBytes = max(512, size) }
        if let set = try writes.size("working_set") { guest.workingSet = max(guest.writeBytes, set) }
        return guest
    }

    // MARK: Links, faults, incidents

    private mutating func addLink(_ node: FileNode, sites: Set<String>) throws {
        let fields = try node.fields(["between", "bandwidth", "latency", "cut"])
        let (a, b) = try pair(fields, "between", sites)
        var link = SimulatedLink()
        if let bandwidth = try fields.size("bandwidth") { link.bytesPerSecond = Double(max(1, bandwidth)) }
        if let latency = try fields.duration("latency") { link.latency = latency }
        link.isCut = try fields.flag("cut") ?? false
        state.links[SitePair(a, b)] = link
    }

    private func pair(_ fields: FileFields, _ field: String, _ sites: Set<String>) throws -> (String, String) {
        let names = try fields.names(field) ?? []
        guard names.count == 2, names[0] != names[1], names.allSatisfy(sites.contains) else {
            throw fields.node.refused(
                field, given: fields.given(field),
                allowed: "two of the sites \(sites.sorted().joined(separator: ", "))")
        }
        return (names[0], names[1])
    }

    private func fault(_ node: FileNode) throws -> Fault {
        let fields = try node.fields([
            "call", "host", "effect", "seconds", "factor", "skip", "times", "probability", "except",
        ])
        let effect: Fault.Effect =
            switch try fields.choice("effect", FileEffect.self) {
            case .fails: .fails
            case .losesAnswer: .losesAnswer
            case .hangs: .hangs(seconds: try fields.duration("seconds") ?? 60)
            case .slow: .slow(factor: try fields.number("factor", 0...1_000_000) ?? 10)
            case nil:
                throw node.refused(
                    "effect", given: "missing",
                    allowed: FileEffect.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
            }
        guard let call = try fields.text("call"), call.hasPrefix("hypervisor.") || call.hasPrefix("agent.") else {
            throw node.refused(
                "call", given: fields.given("call"),
                allowed: "the beginning of a call's name, such as \"agent.\" or \"hypervisor.begin-backup\"")
        }
        var fault = Fault(effect, call: call, host: try host(fields, "host"))
        fault.except = try fields.names("except") ?? []
        fault.skip = try fields.count("skip", 0...1_000_000_000) ?? 0
        fault.times = try fields.count("times", 1...1_000_000_000)
        fault.probability = try fields.number("probability", 0...1) ?? 1
        return fault
    }

    private func host(_ fields: FileFields, _ field: String) throws -> String? {
        guard let name = try fields.text(field) else { return nil }
        guard state.hosts[name] != nil else {
            throw fields.node.refused(
                field, given: name, allowed: "one of the hosts \(state.hosts.keys.sorted().joined(separator: ", "))")
        }
        return name
    }

    private static let kinds = [
        "lose_site", "restore_site", "cut_off_site", "lose_host", "restore_host", "cut_link", "mend_link", "kill",
        "power_off", "fill",
    ]

    private func incident(
        _ node: FileNode, sites: Set<String>
    ) throws -> (after: Double, body: @Sendable (World) -> Void) {
        let fields = try node.fields(["at", "host", "leaving"] + Self.kinds)
        guard let at = try fields.duration("at") else {
            throw node.refused("at", given: "missing", allowed: "a time such as \"5min\" after the beginning")
        }
        let kinds = Self.kinds.filter(fields.has)
        guard kinds.count == 1, let kind = kinds.first else {
            throw node.refused(nil, given: kinds, allowed: "exactly one of \(Self.kinds.joined(separator: ", "))")
        }
        func site() throws -> String {
            guard let name = try fields.text(kind), sites.contains(name) else {
                throw node.refused(
                    kind, given: fields.given(kind), allowed: "one of \(sites.sorted().joined(separator: ", "))")
            }
            return name
        }
        func aHost(_ field: String) throws -> String {
            guard let name = try host(fields, field) else {
                throw node.refused(field, given: "missing", allowed: "the name of a host")
            }
            return name
        }
        switch kind {
        case "lose_site": return (at, { [site = try site()] in $0.lose(site: site) })
        case "restore_site": return (at, { [site = try site()] in $0.restore(site: site) })
        case "cut_off_site": return (at, { [site = try site()] in $0.cutOff(site: site) })
        case "lose_host": return (at, { [host = try aHost(kind)] in $0.lose(host: host) })
        case "restore_host": return (at, { [host = try aHost(kind)] in $0.restore(host: host) })
        case "cut_link", "mend_link":
            let (a, b) = try pair(fields, kind, sites)
            return (at, { $0.setLink(a, b, cut: kind == "cut_link") })
        case "fill":
            let (host, free) = (try aHost(kind), try fields.size("leaving") ?? 0)
            return (at, { $0.fill(host, leaving: free) })
        default:
            let (vm, host) = (try fields.name(kind), try aHost("host"))
            guard (try? state.uuid(of: vm, at: host)) != nil else {
                throw node.refused(kind, given: vm, allowed: "the name of a VM at \(host)")
            }
            return (
                at,
                { world in
                    // A VM that is gone by then has nothing more to lose.
                    if kind == "kill" { try? world.kill(vm, at: host) } else { try? world.powerOff(vm, at: host) }
                }
            )
        }
    }
}

private enum FilePower: String, CaseIterable { case running, off }
private enum FilePowerButton: String, CaseIterable { case obeys, ignores }
private enum FileFormat: String, CaseIterable { case qcow2, raw }
private enum FileEffect: String, CaseIterable {
    case fails
    case losesAnswer = "loses answer"
    case hangs, slow
}
