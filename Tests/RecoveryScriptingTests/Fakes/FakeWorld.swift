import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

@testable import RecoveryScripting

/// Two sites whose guests are counters.
///
/// A disk holds how many records were written to it, and a running guest writes some more whenever somebody asks it:
/// enough to see what a recovery point held and what a failover lost.
final class FakeWorld: Sendable {
    struct Guest {
        var name: String
        var xml: String
        var power = PowerState.off
        var autostart = true
        /// Records found at boot, and now.
        var boot = 0
        var records = 0
        var checkpoints: [String] = []
        var ownership: Ownership?

        /// The file that the guest writes.
        var path: String { (try? DomainDefinition(xml: xml).disks.first?.path) ?? "" }
    }

    struct Point {
        var generation: String
        var previous: String?
        var number: Int
        var cause: PointKind
        var at: Timestamp
        var xml: String
        var records: Int
    }

    struct Site {
        var isUp = true
        var networks: [String]
        /// Networks that were made for tests.
        var made: [String: NetworkDefinition] = [:]
        var guests: [String: Guest] = [:]
        /// Records in each disk file.
        var disks: [String: Int] = [:]
        /// Points by relationship, oldest first.
        var points: [String: [Point]] = [:]
        /// Records received of points that are not sealed, by generation.
        var received: [String: Int] = [:]
        /// VM of each point that is being received.
        var receiving: [String: String] = [:]
        /// Records of ownership, by relationship.
        var ownership: [String: OwnershipRecord] = [:]
        /// Vaults that have asked, by their ids.
        var vaults: [String: VaultStanding] = [:]
        /// Records at each guest's last clean power-off, by name.
        var powerOffs: [String: Int] = [:]
    }

    /// Keeps `a` and `b`.
    let sites = Mutex<[String: Site]>([
        "a": Site(networks: ["gold-net", "test-net"]), "b": Site(networks: ["silver-net", "test-net"]),
    ])

    static let addresses = ["vmm01": "10.77.0.10", "orders": "10.77.0.11", "web": "10.77.0.12"]

    /// Makes the three guests, and more where a test needs them, and starts them at site a.
    init(more: [String] = []) {
        for (index, name) in (Self.addresses.keys.sorted() + more).enumerated() {
            let uuid = "00000000-0000-4000-8000-00000000000\(index)"
            let path = "/images/\(name).qcow2"
            let guest = Guest(
                name: name,
                xml: """
                    <domain type='qemu'><name>\(name)</name><uuid>\(uuid)</uuid><devices>
                    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='\(path)'/>\
                    <target dev='vda' bus='virtio'/></disk>
                    <interface type='network'><mac address='52:54:00:00:00:0\(index)'/>\
                    <source network='gold-net'/></interface></devices></domain>
                    """)
            change("a") { site in
                site.disks[path] = 100
                site.guests[uuid] = guest
                site.start(uuid)
            }
        }
    }

    @discardableResult
    func change<Result>(_ name: String, _ body: (inout Site) throws -> sending Result) rethrows -> sending Result {
        try sites.withLock { sites in try body(&sites[name, default: Site(networks: [])]) }
    }

    func lose(_ name: String) {
        change(name) { site in
            for uuid in site.guests.keys { site.stop(uuid) }
            site.isUp = false
        }
    }

    /// Gives every guest of site a a further disk.
    func addDisk(_ target: String) {
        change("a") { site in
            for (uuid, guest) in site.guests {
                let disk =
                    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
                    + "<source file='/images/\(guest.name)-\(target).qcow2'/><target dev='\(target)' bus='virtio'/></disk>"
                site.guests[uuid]?.xml = guest.xml.replacing("<interface", with: disk + "<interface")
            }
        }
    }

    /// The sites at which a VM runs.
    func running(_ name: String) -> [String] {
        sites.withLock { sites in
            sites.filter { $0.value.guests.values.contains { $0.name == name && $0.power == .running } }.keys.sorted()
        }
    }
}

extension FakeWorld.Site {
    mutating func start(_ uuid: String) {
        guard var guest = guests[uuid], guest.power == .off else { return }
        guest.power = .running
        guest.boot = disks[guest.path] ?? 0
        guest.records = guest.boot
        guests[uuid] = guest
    }

    /// Ends a guest: its disk holds what it had written.
    mutating func stop(_ uuid: String) {
        guard var guest = guests[uuid], guest.power.isActive else { return }
        guest.power = .off
        disks[guest.path] = guest.records
        guests[uuid] = guest
    }
}
