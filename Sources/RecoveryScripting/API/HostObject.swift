import Hypervisors
import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `host`: a hypervisor.
enum HostObject {
    static let type = TypeDeclaration(
        "host", "A hypervisor: a libvirt connection and the agent beside it.",
        fields: [name, site, uri, store, cluster], methods: [vms, vm, networks, remove, CheckMethod.host])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })

    static let site = FieldDeclaration(
        "site", .text, "the place that it fails with",
        .waiting { call in [LuaValue(try await call.session.host(call.receiver).site)] })

    static let uri = FieldDeclaration(
        "uri", .text, "libvirt connection URI",
        .waiting { call in [LuaValue(try await call.session.host(call.receiver).uri)] })

    static let store = FieldDeclaration(
        "store", .text, "folder of the recovery points",
        .waiting { call in [LuaValue(try await call.session.host(call.receiver).store)] })

    static let cluster = FieldDeclaration(
        "cluster", .object("cluster"), "the cluster that it is in", optional: true,
        .waiting { call in
            let id = try await call.session.host(call.receiver).id
            let name = try await call.session.engine.vault.read { vault in
                try vault.objects(HostCluster.self).first { $0.value.hosts.contains(id) }?.value.name
            }
            return [name.map { .object(Handle.cluster($0)) } ?? .nil]
        })

    static let remove = FunctionDeclaration(
        "remove", "Takes this host out of the vault; its VMs stay as they are.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: the message names what refers to it")],
        effect: .changes, ifCutOff: .removal,
        example: """
            vault:host {
              name = "b2", site = "b", uri = "qemu:///system", agent = "/run/b2.sock", address = "10.99.0.3:7731",
              store = "/srv/points",
            }:remove()
            """,
        .waiting { call in
            try await call.session.engine.removeHost(call.session.host(call.receiver))
            return []
        })

    static let vms = FunctionDeclaration(
        "vms", "Lists the VMs of this host, by name, without copies that stand by for another host's.",
        results: [ResultDeclaration("vms", .list(.object("vm")), "the VMs")],
        errors: [ErrorDeclaration("unreachable", "the host does not answer")], effect: .reads,
        example: "for _, vm in ipairs(vault:host(\"a1\"):vms()) do print(vm.name) end",
        .waiting { call in
            let host = try await call.session.host(call.receiver)
            return [.list(try await call.session.vms(on: [host.id], in: call.receiver))]
        })

    static let vm = FunctionDeclaration(
        "vm", "Looks a VM of this host up by name.", positional: [.required("name", .text, "the VM", names: .vm)],
        results: [ResultDeclaration("vm", .object("vm"), "the VM")],
        errors: [ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest")],
        effect: .reads, example: "local own = vault:host(\"a1\"):vm(\"vmm01\")",
        .waiting { call in
            [.object(try await call.session.vm(call.arguments.text("name"), in: call.receiver))]
        })

    static let networks = FunctionDeclaration(
        "networks", "Lists the networks of this host.",
        results: [ResultDeclaration("networks", .list(.text), "their names")],
        errors: [ErrorDeclaration("unreachable", "the host does not answer")], effect: .reads,
        example: "print(table.concat(vault:host(\"a1\"):networks(), \", \"))",
        .waiting { call in
            let host = try await call.session.host(call.receiver)
            let names = try await call.session.engine.hosts.hypervisor(host.id).networks()
            return [.list(names.sorted().map { LuaValue($0) })]
        })
}
