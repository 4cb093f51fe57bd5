import SiteModel
import Simulation

/// Two sites that a seed makes: one or two hosts each, one to three VMs.
struct RandomSite: Sendable {
    let seed: UInt64
    let hosts: [String]
    let vms: [String]
    /// The management server runs in a VM, which the hosts replicate by themselves.
    let hasManagementVM: Bool
    let recoveryPoints: Int
    let keepsReplica: Bool
    let world: World

    static let managementVM = "vmm"

    /// All VMs, the one that comes first at every recovery first.
    var allVMs: [String] { (hasManagementVM ? [Self.managementVM] : []) + vms }

    static let diskSize: UInt64 = 64 << 20

    init(seed: UInt64) throws {
        var chance = SplitMix(seed: SplitMix.seed("site", seed))
        var state = WorldState(seed: seed)
        var hosts: [String] = []
        for site in ["a", "b"] {
            for number in 1...(1 + Int(chance.next(below: 2))) {
                let name = "\(site)\(number)"
                state.addHost(name, site: site, networks: ["prod-\(site)", "test-net"], capacity: 4 << 30)
                hosts.append(name)
            }
        }
        var link = SimulatedLink()
        // A point takes from a moment up to some ten seconds.
        link.bytesPerSecond = [1e6, 1e7, 1e8][Int(chance.next(below: 3))]
        state.links[SitePair("a", "b")] = link
        let sources = hosts.filter { $0.hasPrefix("a") }
        vms = (1...(1 + Int(chance.next(below: 3)))).map { "vm\($0)" }
        for (index, name) in vms.enumerated() {
            let targets = chance.next(below: 3) == 0 ? ["vda", "vdb"] : ["vda"]
            var vm = NewVM(
                name: name, disks: targets.map { NewDisk(target: $0, size: Self.diskSize, used: 8 << 20) })
            vm.nics = [NewNIC(network: "prod-a")]
            vm.autostart = chance.next(below: 2) == 0
            vm.isRunning = chance.next(below: 8) != 0
            vm.guest.writesPerSecond = [0, 0.2, 1][Int(chance.next(below: 3))]
            // Few places, so that points are quick to compare.
            vm.guest.writeBytes = 64 << 10
            vm.guest.workingSet = 1 << 20
            try state.addVM(vm, at: sources[index % sources.count])
        }
        hasManagementVM = chance.next(below: 4) == 0
        if hasManagementVM {
            var vm = NewVM(
                name: Self.managementVM, disks: [NewDisk(target: "vda", size: Self.diskSize, used: 8 << 20)])
            vm.nics = [NewNIC(network: "prod-a")]
            vm.guest.writesPerSecond = 0.2
            vm.guest.writeBytes = 64 << 10
            vm.guest.workingSet = 1 << 20
            try state.addVM(vm, at: "a1")
        }
        recoveryPoints = Int(chance.next(below: 4))
        keepsReplica = chance.next(below: 4) == 0
        self.seed = seed
        self.hosts = hosts
        world = World(state)
    }
}
