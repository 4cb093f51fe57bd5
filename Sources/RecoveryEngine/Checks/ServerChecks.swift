package import SiteModel

/// What was learnt of a management server: all of it is in the vault.
package struct ServerFacts: Sendable {
    package struct CloudFacts: Sendable {
        package var name: String
        package var hosts: Int
        package var isPaired: Bool

        package init(name: String, hosts: Int, isPaired: Bool) {
            self.name = name
            self.hosts = hosts
            self.isPaired = isPaired
        }
    }

    package var server: Server
    package var clouds: [CloudFacts]
    /// How many servers the vault has: one alone needs two clouds.
    package var servers: Int
    /// The relationship of the VM that the server runs in; nil when there is none.
    package var managementRelationship: Relationship?
    /// Name of the cloud through which that VM is protected; nil when it is not.
    package var managementProtectedIn: String?

    package init(
        server: Server, clouds: [CloudFacts], servers: Int = 1, managementRelationship: Relationship? = nil,
        managementProtectedIn: String? = nil
    ) {
        self.server = server
        self.clouds = clouds
        self.servers = servers
        self.managementRelationship = managementRelationship
        self.managementProtectedIn = managementProtectedIn
    }
}

/// What must hold of a management server.
enum ServerChecks {
    static let all: [Check<ServerFacts>] = [
        Check(
            "clouds-present", .server, "The server has a cloud, and two where it is the only server.",
            source: "3, row 7", fix: "Make them: server:cloud { name = ..., hosts = { ... } }."
        ) { facts in
            let needed = facts.servers == 1 ? 2 : 1
            let names = listed(facts.clouds.map(\.name))
            return facts.clouds.count < needed
                ? .fail("it has \(facts.clouds.count == 0 ? "none" : "only \(names)")") : .ok(names)
        },
        Check(
            "clouds-have-hosts", .server, "Each cloud has a host.", source: "3, rows 7 and 10",
            fix: "Give the cloud its hosts: server:cloud { name = ..., hosts = { ... } }."
        ) { facts in
            let empty = facts.clouds.filter { $0.hosts == 0 }.map(\.name)
            return empty.isEmpty
                ? .ok("\(facts.clouds.reduce(0) { $0 + $1.hosts }) in all") : .fail("without one: \(listed(empty))")
        },
        Check(
            "clouds-paired", .server, "Each cloud is in a pair.", source: "3, row 8",
            fix: "Pair it: cloud:pair { with = ..., policy = ... }, or leave it: its VMs are not protected."
        ) { facts in
            let loose = facts.clouds.filter { !$0.isPaired }.map(\.name)
            return loose.isEmpty ? .ok("all are") : .warn("in none: \(listed(loose))")
        },
        Check(
            "management-vm-outside-clouds", .server, "The server's own VM is not protected through a cloud.",
            source: "3, row 21",
            fix: "Unprotect it, then let the hosts replicate it: vm:replicate { to = ..., policy = ... }."
        ) { facts in
            guard let vm = facts.server.managementVM else { return .ok("the server runs in no VM") }
            return facts.managementProtectedIn.map { .fail("\(vm) is protected through cloud \($0)") }
                ?? .ok("\(vm) is not")
        },
        Check(
            "management-vm-replicated", .server, "The hosts replicate the server's own VM.", source: "3, row 21",
            fix: "vault:host(\"...\"):vm(\"...\"):replicate { to = ..., policy = ... }"
        ) { facts in
            guard let vm = facts.server.managementVM else { return .ok("the server runs in no VM") }
            guard let relationship = facts.managementRelationship, relationship.state != .unprotected else {
                return .fail("\(vm) is not replicated: with its site the server is lost")
            }
            return relationship.newestGeneration == nil
                ? .warn(
                    "\(vm) has no recovery point yet", fix: "Wait for its first copy, or look at: perilune status \(vm)"
                )
                : .ok("\(vm), state \(relationship.state.rawValue)")
        },
    ]
}
