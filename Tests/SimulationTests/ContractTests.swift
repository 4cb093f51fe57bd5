import BlockReplication
import DriverContract
import Hypervisors
import Simulation
import Testing

/// The drivers' contract, on the simulated site; the lab's tests try the same cases on real guests.
@Suite("The drivers' contract, simulated")
struct ContractTests {
    @Test("Contract", arguments: DriverContract.cases)
    func contract(_ contract: DriverContract) async throws {
        let site = try SimulatedContractSite()
        try await site.world.run { try await contract.tryOut(on: site) }
    }
}

struct SimulatedContractSite: ContractSite {
    let world: World
    let vm = VMIdentity(name: "willing", uuid: NewVM.uuid("willing"))
    let stubborn = VMIdentity(name: "stubborn", uuid: NewVM.uuid("stubborn"))
    let targetNetwork = "silver-net"
    let sourceStore = "/var/lib/perilune/store"
    let targetStore = "/var/lib/perilune/store"

    init() throws {
        var state = WorldState(seed: 1)
        state.addHost("a", site: "a", networks: ["gold-net"])
        state.addHost("b", site: "b", networks: ["silver-net"])
        for identity in [vm, stubborn] {
            var new = NewVM(
                name: identity.name,
                disks: ["vda", "vdb"].map { NewDisk(target: $0, size: 1 << 30, used: 256 << 20) })
            new.nics = [NewNIC(network: "gold-net")]
            new.guest.writesPerSecond = 20
            new.guest.ignoresPowerButton = identity == stubborn
            try state.addVM(new, at: "a")
        }
        world = World(state)
    }

    var source: any Hypervisor { SimulatedHypervisor(world: world, host: "a") }
    var target: any Hypervisor { SimulatedHypervisor(world: world, host: "b") }
    var sender: any Agent { SimulatedAgent(world: world, host: "a") }
    var receiver: any Agent { SimulatedAgent(world: world, host: "b") }

    func kill() async throws { try world.kill(vm.name, at: "a") }
    func letItWrite() async throws { await world.clock.pass(seconds: 5) }
    func identifier() -> String { world.identifiers.next() }
}
