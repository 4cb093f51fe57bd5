import Hypervisors
import SiteModel

/// A VM to put into a world.
package struct NewVM: Hashable, Sendable {
    package var name: String
    /// Made from the name when nil.
    package var uuid: String?
    package var memoryMiB = 1024
    package var isRunning = true
    package var autostart = true
    package var disks: [NewDisk]
    package var nics: [NewNIC] = []
    package var guest = GuestBehaviour()
    /// The whole definition, where one was recorded; it then says what disks and NICs there are.
    package var definition: String?

    package init(name: String, disks: [NewDisk] = [NewDisk(target: "vda", size: 10 << 30, used: 1 << 30)]) {
        self.name = name
        self.disks = disks
    }

    /// The UUID that a world gives to a VM of that name.
    package static func uuid(_ name: String) -> String {
        var chance = SplitMix(seed: SplitMix.seed(name, 0x5157))
        return chance.uuid()
    }
}

package struct NewDisk: Hashable, Sendable {
    package var target: String
    package var size: UInt64
    /// Bytes that hold something from the beginning.
    package var used: UInt64
    package var format = "qcow2"
    /// `/var/lib/libvirt/images/VM-TARGET.FORMAT` when nil.
    package var path: String?

    package init(target: String, size: UInt64, used: UInt64) {
        self.target = target
        self.size = size
        self.used = used
    }
}

package struct NewNIC: Hashable, Sendable {
    /// nil: connected to nothing.
    package var network: String?
    package var mac: String?

    package init(network: String?, mac: String? = nil) {
        self.network = network
        self.mac = mac
    }
}

extension WorldState {
    package mutating func addHost(
        _ name: String, site: String, networks: Set<String>, capacity: UInt64 = 4 << 40,
        store: String = "/var/lib/perilune/store"
    ) {
        hosts[name] = SimulatedHost(name: name, site: site, store: store, capacity: capacity, networks: networks)
    }

    /// Puts a VM at a host, with its disks; a running one has been running for a while.
    package mutating func addVM(_ vm: NewVM, at host: String) throws {
        let now = start
        guard hosts[host] != nil else { throw SimulationError.unknown("host", host, known: Array(hosts.keys)) }
        let uuid = vm.uuid ?? NewVM.uuid(vm.name)
        var chance = SplitMix(seed: SplitMix.seed(uuid, seed))
        var definition = try DomainDefinition(xml: vm.definition ?? Self.xml(of: vm, uuid: uuid))
        definition.complete(uuid: { uuid }, mac: { SimulatedHypervisor.mac(&chance) })
        var domain = SimulatedDomain(uuid: definition.uuid ?? uuid, definition: definition, seed: seed)
        for disk in definition.disks {
            let made = vm.disks.first { $0.target == disk.target }
            let size = made?.size ?? 10 << 30
            let stamp = WriteStamp(version: nextVersion(), at: now)
            let content = VersionedExtents(whole: min(made?.used ?? 0, size), stamp: stamp)
            for (index, layer) in disk.chain.enumerated() {
                let below = disk.chain.dropFirst(index + 1).first?.path
                let extents = below == nil ? content : VersionedExtents()
                hosts[host]?.put(
                    SimulatedFile(size: size, format: layer.format, backing: below, extents: extents), at: layer.path)
            }
        }
        domain.autostart = vm.autostart
        domain.guest = vm.guest
        hosts[host]?.domains[domain.uuid] = domain
        guard vm.isRunning else { return }
        open(domain.uuid, at: host, now)
        // It was started before anybody looked: its guest is up.
        hosts[host]?.domains[domain.uuid]?.bootedAt = now.advanced(bySeconds: -vm.guest.bootSeconds)
        let interval = vm.guest.writesPerSecond > 0 ? 1_000_000 / vm.guest.writesPerSecond : 0
        hosts[host]?.domains[domain.uuid]?.nextWrite = interval * chance.fraction()
        run(domain.uuid, at: host, now)
    }

    private static func xml(of vm: NewVM, uuid: String) -> String {
        let disks = vm.disks.map { disk in
            let path = disk.path ?? "/var/lib/libvirt/images/\(vm.name)-\(disk.target).\(disk.format)"
            return "<disk type='file' device='disk'><driver name='qemu' type='\(escaped(disk.format))'/>"
                + "<source file='\(escaped(path))'/><target dev='\(escaped(disk.target))' bus='virtio'/></disk>"
        }
        let nics = vm.nics.map { nic in
            let mac = nic.mac.map { "<mac address='\(escaped($0))'/>" } ?? ""
            guard let network = nic.network else {
                return "<interface type='ethernet'>\(mac)<link state='down'/></interface>"
            }
            return "<interface type='network'>\(mac)<source network='\(escaped(network))'/></interface>"
        }
        return "<domain type='qemu'><name>\(escaped(vm.name))</name><uuid>\(escaped(uuid))</uuid>"
            + "<memory unit='MiB'>\(vm.memoryMiB)</memory><os><type arch='x86_64'>hvm</type></os><devices>"
            + disks.joined() + nics.joined() + "</devices></domain>"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "'": result += "&apos;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }
}
