import BlockReplication
import Hypervisors
import SiteModel
import Simulation
import Testing

@Suite("A site's description")
struct SiteFileTests {
    static let text = """
        {"seed": 7,
         "sites": [
           {"name": "a", "hosts": [{"name": "host-a", "networks": ["gold-net"], "capacity": "2TiB", "free": "1TiB",
             "vms": [
               {"name": "orders", "memory": "2GiB", "address": "10.0.0.1", "writes": {"rate": 10, "size": "64KiB"},
                "disks": [{"target": "vda", "size": "40GiB", "used": "12GiB"}, {"target": "vdb", "size": "10GiB"}],
                "nics": [{"network": "gold-net"}]},
               {"name": "web", "count": 3, "power": "off", "power_button": "ignores",
                "disks": [{"target": "vda", "size": "1GiB", "used": 0}]}]}]},
           {"name": "b", "hosts": [{"name": "host-b", "networks": ["silver-net"]}]}],
         "links": [{"between": ["a", "b"], "bandwidth": "100MiB", "latency": "5ms"}],
         "incidents": [{"at": "1min", "lose_site": "a"}]}
        """

    @Test("What is written is what there is")
    func world() async throws {
        let world = try SiteFile(json: Self.text).makeWorld()
        try await world.run {
            let host = try #require(world.hosts.first { $0.name == "host-a" })
            let hypervisor = try await SimulatedConnections(world: world).hypervisor(of: host)
            let domains = try await hypervisor.domains()
            #expect(domains.map(\.name) == ["orders", "web1", "web2", "web3"])
            #expect(domains.map(\.power) == [.running, .off, .off, .off])
            #expect(domains[0].memoryMiB == 2048)
            #expect(domains[0].disks.map(\.size) == [40 << 30, 10 << 30])
            #expect(domains[0].nics.map(\.network) == ["gold-net"])
            let agent = try await SimulatedConnections(world: world).agent(of: host)
            #expect(try await agent.status().freeBytes == 1 << 40)
            try await world.clock.sleep(seconds: 61)
            await #expect(throws: HypervisorError.self) { _ = try await hypervisor.domains() }
            #expect(world.power("orders", at: "host-a") == .off)
        }
    }

    @Test(
        "A mistake is told with its place, what was given and what is allowed",
        arguments: [
            ("{", "no JSON", "comma"),
            ("[]", "a list", "an object"),
            ("{}", "sites", "one site or more"),
            (#"{"sites": [{"nam": "a"}]}"#, "sites[1] has an unknown field \"nam\"", "did you mean \"name\"?"),
            (#"{"sites": [{"name": 5}]}"#, "sites[1].name is 5", "text"),
            (#"{"sites": [{"name": "a"}, {"name": "a"}]}"#, "sites[2].name", "no other site"),
            (#"{"sites": [{"name": "a", "hosts": [{"name": "h", "capacity": "12XB"}]}]}"#, "\"12XB\"", "40GiB"),
            (
                #"{"sites": [{"name": "a", "hosts": [{"name": "h", "vms": [{"name": "v"}]}]}]}"#,
                "sites[1].hosts[1].vms[1].disks", "one disk or more"
            ),
            (
                #"{"sites": [{"name": "a", "hosts": [{"name": "h", "vms": [{"name": "v", "autostart": 1, "#
                    + #""disks": [{"target": "vda", "size": 1024}]}]}]}]}"#, "autostart is 1", "true or false"
            ),
            (
                #"{"sites": [{"name": "a", "hosts": [{"name": "h", "vms": [{"name": "v", "power": "on", "#
                    + #""disks": [{"target": "vda", "size": 1024}]}]}]}]}"#, "power is \"on\"", "\"running\", \"off\""
            ),
            (
                #"{"sites": [{"name": "a", "hosts": [{"name": "h", "vms": [{"name": "v", "#
                    + #""disks": [{"target": "vda", "size": 1024, "used": 4096}]}]}]}]}"#, "used is 4096", "1024"
            ),
            (
                #"{"sites": [{"name": "a"}], "links": [{"between": ["a", "z"]}]}"#, "links[1].between",
                "two of the sites a"
            ),
            (#"{"sites": [{"name": "a"}], "incidents": [{"at": "5min"}]}"#, "incidents[1]", "lose_site"),
            (#"{"sites": [{"name": "a"}], "incidents": [{"at": "soon", "lose_site": "a"}]}"#, "\"soon\"", "5min"),
            (
                #"{"sites": [{"name": "a"}], "incidents": [{"at": 5, "lose_site": "b"}]}"#, "lose_site is \"b\"",
                "one of a"
            ),
            (#"{"sites": [{"name": "a"}], "faults": [{"call": "x", "effect": "fails"}]}"#, "faults[1].call", "agent."),
            (#"{"sites": [{"name": "a"}], "faults": [{"call": "agent.", "effect": "dies"}]}"#, "\"dies\"", "\"hangs\""),
            (#"{"sites": [{"name": "a"}], "seed": -1}"#, "seed is -1", "whole number"),
        ])
    func mistakes(_ text: String, _ what: String, _ allowed: String) throws {
        let error = try #require(throws: SimulationError.self) { _ = try SiteFile(json: text) }
        #expect(error.code == .invalidSite)
        #expect(error.message.contains(what), "\(error)")
        #expect(error.hint.contains(allowed), "\(error)")
    }

    @Test("A world that is recorded and made again is the same")
    func recorded() async throws {
        let world = try SiteFile(json: Self.text).makeWorld()
        let (first, again) = try await world.run {
            let connections = SimulatedConnections(world: world)
            let first = try await SiteRecorder.record(world.hosts, through: connections) { host, error in
                Issue.record("\(host.name): \(error)")
            }
            return (first, first)
        }
        #expect(first == again)
        let copy = try SiteFile(json: first).makeWorld()
        let (ours, theirs) = (try await domains(world), try await domains(copy))
        #expect(ours == theirs)
        #expect(!ours.isEmpty)
        let second = try await copy.run {
            try await SiteRecorder.record(copy.hosts, through: SimulatedConnections(world: copy)) { _, _ in }
        }
        #expect(second.contains("\"orders\""))
    }

    private func domains(_ world: World) async throws -> [Domain] {
        try await world.run {
            var all: [Domain] = []
            for host in world.hosts {
                all += try await SimulatedConnections(world: world).hypervisor(of: host).domains()
            }
            return all
        }
    }
}
