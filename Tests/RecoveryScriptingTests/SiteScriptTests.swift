import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import TestSupport
import Testing
import VaultStore

@Suite("Scripts that set a site up")
struct SiteScriptTests {
    @Test("Every object is made, read back and found again by name")
    func objects() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                vault:settings { goal = "one-server", name = "prod" }
                assert(vault:settings().goal == "one-server" and vault:settings().name == "prod")

                local west = vault:cluster { name = "west", hosts = { vault:host("host-b") }, access_name = "west.example" }
                assert(vault:cluster("west").access_name == "west.example" and vault:host("host-b").cluster.name == "west")
                vmm:cloud { name = "silver", hosts = {}, clusters = { west } }
                assert(#vmm:cloud("silver").hosts == 1 and vmm:cloud("silver").clusters[1].name == "west")
                local ok, e = pcall(vmm.cloud, vmm, { name = "bronze", hosts = { vault:host("host-b") } })
                assert(not ok and e.rule == "host-in-one-cloud" and e.message:find("cloud silver", 1, true), tostring(e))
                vmm:cloud { name = "bronze", hosts = {} }
                assert(gold.pairing == "paired" and #gold.unready == 0 and vmm:cloud("bronze").pairing == "none")

                local lan = vmm:logical_network { name = "lan", isolation = "vlan", clouds = { gold, silver } }
                local net = lan:vm_network { name = "silver-net", subnets = {
                  { name = "web", block = "10.1.0.0/24", gateway = "10.1.0.1", dns = { "10.1.0.2" }, vlan = 7,
                    pool = "10.1.0.10-10.1.0.99", reserved = { "10.1.0.11" } } } }
                local subnet = lan:vm_network("silver-net").subnets[1]
                assert(subnet.block == "10.1.0.0/24" and subnet.pool == "10.1.0.10-10.1.0.99" and subnet.vlan == 7)
                assert(subnet.reserved[1] == "10.1.0.11" and subnet.dns[1] == "10.1.0.2" and net.logical_network.name == "lan")
                assert(#vmm:logical_networks() == 1 and #lan:vm_networks() == 1 and lan.isolation == "vlan")
                gold:unmap_network("gold-net")
                gold:map_network { from = "gold-net", to = "silver-net" }
                assert(gold:network_mappings()["gold-net"] == "silver-net")

                local disks = vmm:storage_class { name = "disks",
                  locations = { { host = vault:host("host-a"), path = "/images" } } }
                local ssd = vmm:storage_class { name = "ssd",
                  locations = { { host = vault:host("host-b"), path = "/points" } } }
                disks:map(ssd)
                assert(disks.mapped_to.name == "ssd" and ssd.locations[1].path == "/points")
                disks:unmap()
                ssd:remove()
                assert(#vmm:storage_classes() == 1)

                local slow = vault:policy { name = "slow", copy_frequency = "15min", recovery_points = 24,
                  port = 7731, first_copy = "scheduled", first_copy_time = "22:00", auto_resync = "window",
                  resync_window = "20:00-05:00", monitoring_interval = "48h", monitoring_start = "08:30",
                  delete_replica = false, export_path = "/media/out", import_path = "/media/in" }
                assert(slow.first_copy_time == "22:00" and slow.resync_window == "20:00-05:00" and slow.port == 7731)
                assert(slow.monitoring_interval == 172800 and slow.monitoring_start == "08:30")
                assert(slow.auto_resync == "window" and not slow.delete_replica and slow.authentication == "ticket")
                vault:policy { name = "slow", port = "any", app_consistent = "off" }
                assert(slow.port == nil)
                slow:remove()

                vault:server { name = "role", version = "0.1.0", role = "role", node = "n1" }
                local role = vault:server("role")
                role:join { node = "n2", version = "0.1.0" }
                role:heartbeat { node = "n2" }
                assert(role.connection == "connected" and role.version_status == "supported" and vmm.connection == "never-seen")
                assert(role.nodes[1].name == "n1" and role.nodes[1].active and role.nodes[2].last_heartbeat)
                role:unregister()
                assert(#vault:servers() == 1)
                return tostring(lan), tostring(net), tostring(west)
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values == ["logical_network<lan>", "vm_network<silver-net>", "cluster<west>"])
    }

    @Test("A key's file is written once, for its owner, and lets a server in until the key is revoked")
    func keys() async throws {
        let bench = Bench()
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = scratch("two.key")
        let outcome = try await bench.run(
            Bench.setUp + """
                vault:settings { requires_key = true }
                local ok, e = pcall(vault.server, vault, { name = "two", version = "0.1.0" })
                assert(not ok and e.rule == "registration-key-needed", tostring(e))
                local key = vault:registration_key { file = "\(path)" }
                assert(key.state == "valid" and not pcall(vault.registration_key, vault, { file = "\(path)" }))
                vault:server { name = "two", key = "\(path)" }
                vault:revoke_key(key.id)
                ok, e = pcall(vault.server, vault, { name = "three", key = "\(path)" })
                assert(not ok and e.rule == "registration-key-refused", tostring(e))
                key = vault:registration_keys()[1]
                return key.state, key.used_by[1]
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values == ["revoked", "two"])
        let refused = try await bench.failure(of: "recovery.vault():registration_key { file = '/x' }", grants: [])
        #expect(refused?.kind == .notGranted)
    }

    @Test("A scheduled first copy is shown, called off and begun; jobs and fields tell what happened")
    func firstCopy() async throws {
        let outcome = try await Bench().run(
            Bench.setUp + """
                local item = gold:vm("web"):protect { start_after = "6h", disks = { "vda" } }
                assert(item.state == "first-copy-pending" and item.first_copy.method == "scheduled")
                assert(item.first_copy.starts > recovery.now() and #item.excluded_disks == 0)
                assert(item.disks[1].name == "vda" and item.disks[1].size > 0)
                item:cancel_first_copy()
                assert(item.first_copy.method == "now" and not item.first_copy.starts)
                item:start_first_copy()
                assert(item.state == "protected" and item.first_copy == nil and item.last_failover == nil)
                item:failover { kind = "planned" }
                assert(item.chosen_point and item.last_failover)
                local jobs = vault:jobs { vm = "web", outcome = "completed" }
                assert(#jobs == 4 and jobs[1].operation == "planned-failover" and #jobs[1].actions == 0)
                return #vault:jobs { outcome = "failed" }
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values == [0])
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        var statement: String
        var kind: String
        /// Parts of the message: the object or call, the field, what was given, what is allowed.
        var parts: [String]
        var testDescription: String { statement }

        init(_ statement: String, _ kind: String, _ parts: String...) {
            (self.statement, self.kind, self.parts) = (statement, kind, parts)
        }
    }

    private static let hostStart =
        "vault:host { name = 'c', site = 'c', uri = 'fake:///c', agent = '/c', store = '/c', "

    static let bad: [Bad] = [
        Bad(hostStart + "address = 'c' }", "invalid", "host 'c'", "address", "\"c\"", "host:port"),
        Bad(hostStart + "address = 'c:1', fence = { 'rm' } }", "invalid", "fence", "\"rm\"", "absolute path"),
        Bad(hostStart + "address = 'c:1', fence = 'rm' }", "argument", "'fence'", "list", "\"rm\""),
        Bad(
            "vault:host { name = 'c', site = 'c', uri = 'fake', agent = '/c', store = '../c', address = 'c:1' }",
            "invalid", "uri", "libvirt", "store", "'..'"),
        Bad("vault:host { name = 'c', sight = 'c' }", "argument", "sight"),
        Bad("vault:cluster { name = 'k', hosts = {}, access_name = 'k' }", "invalid", "hosts", "empty", "at least one"),
        Bad(
            "vault:cluster { name = 'k', hosts = { vault:host('host-a'), vault:host('host-a') }, access_name = 'k' }",
            "invalid", "cluster 'k'", "hosts", "twice"),
        Bad("vault:cluster { name = 'k', hosts = { gold }, access_name = 'k' }", "argument", "hosts[1]", "a cloud"),
        Bad("vault:cluster 'west'", "unknown", "no cluster 'west'"),
        Bad(
            "vmm:cloud { name = 'c', hosts = { vault:host('host-a'), vault:host('host-a') } }", "invalid", "cloud 'c'",
            "hosts", "twice"),
        Bad("gold:pair { with = gold, policy = fast }", "refused", "gold"),
        Bad("gold:unmap_network('gold-nte')", "unknown", "gold-nte"),
        Bad("gold:map_network { from = 'gold-net', to = 5 }", "argument", "'to'", "text", "5"),
        Bad("vmm:logical_network { name = 'l', isolation = 'vlna' }", "argument", "isolation", "vlna", "\"vlan\""),
        Bad("vmm:logical_network { name = 'l', clouds = { gold, gold } }", "invalid", "clouds", "twice"),
        Bad("vmm:logical_network 'lan'", "unknown", "no logical network 'lan'"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's' } } }", "argument", "subnets[1]",
            "'block' is missing"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', block = '10.0.0.1/24' } } }", "argument",
            "subnets.block", "10.0.0.1/24", "10.1.0.0/24"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', blokc = 'x' } } }", "argument", "no option 'blokc'"),
        Bad("lan:vm_network { name = 'n', subnets = { 5 } }", "argument", "'subnets[1]'", "5"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', block = '10.1.0.0/24', vlan = 5 } } }", "invalid",
            "subnets.vlan", "5", "no isolation"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', block = '10.1.0.0/24', pool = '10.1.0.9' } } }",
            "argument", "subnets.pool", "10.1.0.9", "a range"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', block = '10.1.0.0/24', reserved = { '10.1.0.9' } } } }",
            "argument", "subnets.reserved", "no pool"),
        Bad(
            "lan:vm_network { name = 'n', subnets = { { name = 's', block = '10.1.0.0/24' }, "
                + "{ name = 's', block = '10.2.0.0/24' } } }", "invalid", "subnets", "s twice"),
        Bad("vmm:storage_class { name = 's', locations = {} }", "invalid", "locations", "at least one"),
        Bad(
            "vmm:storage_class { name = 's', locations = { { host = vault:host('host-a'), path = 'x' } } }", "invalid",
            "locations", "\"x\"", "absolute"),
        Bad(
            "vmm:storage_class { name = 's', locations = { { host = 'host-a', path = '/x' } } }", "argument",
            "locations[1]", "'host'", "a host"),
        Bad("vmm:storage_class 'ssd'", "unknown", "no storage class 'ssd'"),
        Bad("vault:server { name = 'role', role = 'rule', node = 'n1', version = '0.1.0' }", "refused", "rule"),
        Bad("vault:server { name = 'old', version = '0.0.x' }", "invalid", "server 'old'", "version", "0.0.x", "0.1.0"),
        Bad("vault:server { name = 'new', version = '9.0.0' }", "refused", "9.0.0", "not-supported"),
        Bad("vault:server { name = 's', key = '/no/such/file' }", "invalid", "/no/such/file"),
        Bad("vmm:join { node = 'n2', version = '0.1.0' }", "refused", "active node"),
        Bad("vmm:heartbeat { node = 'n2' }", "unknown", "n2"),
        Bad("vault:settings { goal = 'two' }", "argument", "goal", "\"two\"", "two-servers"),
        Bad("vault:settings { goal = 'two-servers' }", "refused", "goal"),
        Bad("vault:revoke_key('k')", "unknown", "registration key", "\"k\""),
        Bad("vault:registration_key { file = 'k' }", "invalid", "file", "\"k\"", "absolute"),
        Bad("vault:policy { name = 'p', recovery_points = 25 }", "invalid", "policy 'p'", "25", "0", "24"),
        Bad("vault:policy { name = 'p', port = 70000 }", "invalid", "port", "70000", "65535"),
        Bad("vault:policy { name = 'p', port = 'x' }", "argument", "port", "\"x\"", "\"any\""),
        Bad("vault:policy { name = 'p', first_copy = 'scheduled' }", "invalid", "first_copy_time", "missing", "22:00"),
        Bad("vault:policy { name = 'p', first_copy_time = '25:00' }", "argument", "first_copy_time", "25:00"),
        Bad("vault:policy { name = 'p', first_copy = 'offline' }", "invalid", "export_path", "import_path", "absolute"),
        Bad("vault:policy { name = 'p', resync_window = '06:00-06:00' }", "argument", "resync_window", "06:00-06:00"),
        Bad("vault:policy { name = 'p', auto_resync = 'on' }", "argument", "auto_resync", "\"on\"", "\"window\""),
        Bad(
            "vault:policy { name = 'p', monitoring_interval = '5h' }", "invalid", "monitoring_interval", "5 h", "7 days"
        ),
        Bad("vault:policy { name = 'p', monitoring_interval = '90min' }", "argument", "monitoring_interval", "hours"),
        Bad("vault:policy { name = 'p', delete_replica = 'no' }", "argument", "delete_replica", "true or false"),
        Bad(
            "vault:policy { name = 'p', recovery_points = 4, app_consistent = '4h' }", "invalid", "app", "4 h",
            "less than"),
        Bad("gold:vm('web'):protect { disks = { 'sda' } }", "invalid", "web", "disks", "\"sda\"", "vda"),
        Bad("gold:vm('web'):protect { disks = 'vda' }", "argument", "disks", "list"),
        Bad("gold:vm('web'):protect { exclude = { 'vda' } }", "invalid", "exclude", "all of them", "at least one"),
        Bad("gold:vm('web'):protect { start_after = '170h' }", "invalid", "start_after", "7 days"),
        Bad("gold:vm('web'):protect { first_copy = 'later' }", "argument", "first_copy", "later", "scheduled"),
        Bad("gold:vm('web'):protect { first_copy = 'offline' }", "invalid", "export_path", "absolute"),
        Bad("vault:jobs { vm = 'wbe' }", "unknown", "wbe"),
        Bad("vault:jobs { limit = 0 }", "argument", "limit", "1 to 10000"),
        Bad("gold:remove()", "refused", "gold", "pair"),
        Bad("vault:host('host-a'):remove()", "refused", "host-a", "cloud gold"),
        Bad("fast:remove()", "refused", "fast", "pair"),
        Bad("vmm:unregister()", "refused", "vmm01", "pair gold"),
    ]

    @Test("A bad value is refused with the object, the field, what was given and what is allowed", arguments: bad)
    func badInput(bad: Bad) async throws {
        let bench = Bench()
        let text =
            Bench.setUp + "local lan = vmm:logical_network { name = 'lan0' }\n" + bad.statement
            + "\nreturn lan, fast, silver"
        let error = try #require(try await bench.failure(of: text), "\(bad.statement) was not refused")
        #expect(error.kind.rawValue == bad.kind, "\(error)")
        for part in bad.parts { #expect("\(error)".contains(part), "\(part) is missing in: \(error)") }
        let before = try await bench.engine.vault.read { vault in
            try [
                vault.objects(SiteModel.Host.self).count, vault.objects(Policy.self).count,
                vault.objects(Server.self).count,
                vault.objects(Cloud.self).count, vault.objects(CloudPair.self).count,
                vault.objects(HostCluster.self).count,
                vault.objects(VMNetwork.self).count, vault.objects(StorageClass.self).count,
            ]
        }
        #expect(before == [2, 1, 1, 2, 1, 0, 0, 0], "nothing was made or removed")
    }
}
