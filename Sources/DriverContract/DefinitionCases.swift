import BlockReplication
import Hypervisors

extension DriverContract {
    static let definitionCases: [DriverContract] = [
        DriverContract("define replaces, undefine forgets, each twice without harm") { site in
            var twin = try DomainDefinition(xml: await site.source.inactiveXML(uuid: site.vm.uuid))
            let uuid = site.identifier()
            try twin.becomeTest(name: site.vm.name + "-twin", uuid: uuid, network: nil)
            for _ in 1...2 { try await site.source.define(xml: twin.xml) }
            let made = try await site.source.domain(uuid: uuid)
            try require("name of the new VM", made?.name, site.vm.name + "-twin")
            try require("power of the new VM", made?.power, .off)
            try require("autostart of the new VM", made?.autostart, false)
            try require("links of unconnected NICs", made?.nics.allSatisfy { !$0.linkIsUp && $0.network == nil }, true)
            try require("MAC addresses are made up", made?.nics.allSatisfy { !$0.mac.isEmpty }, true)
            try require("ownership of a new VM", try await site.source.ownership(uuid: uuid), nil)
            for on in [true, true, false, false] {
                try await site.source.setAutostart(uuid: uuid, on)
                try require("autostart", try await site.source.domain(uuid: uuid)?.autostart, on)
            }
            for _ in 1...2 { try await site.source.undefine(uuid: uuid) }
            try require("the VM after undefine", try await site.source.domain(uuid: uuid), nil)
        },
        DriverContract("a network for a test is made once and removed once; what is not marked so is left alone") {
            site in
            let mark = NetworkDefinition.Mark(relationship: "r", test: site.identifier())
            let digits = mark.test.filter(\.isHexDigit).lowercased().prefix(8)
            let made = NetworkDefinition(name: "test-\(digits)", bridge: "pt\(digits)", mark: mark)
            for _ in 1...2 { try await site.source.defineNetwork(made) }
            try require("the network", try await site.source.networks().contains(made.name), true)
            try require("its mark", try await site.source.networkDefinition(named: made.name)?.mark, mark)
            try require("its way out", try await site.source.networkDefinition(named: made.name)?.isIsolated, true)
            let other = NetworkDefinition.Mark(relationship: "r", test: site.identifier())
            try await refused(.busy, "removing another test's network") {
                try await site.source.removeNetwork(named: made.name, mark: other)
            }
            for _ in 1...2 { try await site.source.removeNetwork(named: made.name, mark: mark) }
            try require("the network after removal", try await site.source.networks().contains(made.name), false)
        },
        DriverContract("calls for a VM that is not there: looking finds nothing, acting is refused") { site in
            let uuid = site.identifier()
            try require("domain", try await site.source.domain(uuid: uuid), nil)
            try require("domain by name", try await site.source.domain(named: "nobody"), nil)
            try await site.source.undefine(uuid: uuid)
            try await refused(.unknownDomain, "start") { try await site.source.start(uuid: uuid, paused: false) }
            try await refused(.unknownDomain, "destroy") { try await site.source.destroy(uuid: uuid) }
            try await refused(.unknownDomain, "inactiveXML") { _ = try await site.source.inactiveXML(uuid: uuid) }
            try await refused(.unknownDomain, "ownership") { _ = try await site.source.ownership(uuid: uuid) }
            try await refused(.unknownDomain, "checkpoints") { _ = try await site.source.checkpoints(uuid: uuid) }
            try await site.source.endBackup(uuid: uuid)
        },
        DriverContract("definitions that cannot be: no domain, a NIC of type null, a taken name") { site in
            try await refused(.invalidDefinition, "a network's XML") {
                try await site.source.define(xml: "<network><name>n</name></network>")
            }
            try await refused(.invalidDefinition, "a NIC of type null") {
                try await site.source.define(
                    xml: "<domain type='qemu'><name>n</name><devices><interface type='null'/></devices></domain>")
            }
            var twin = try DomainDefinition(xml: await site.source.inactiveXML(uuid: site.vm.uuid))
            try twin.becomeTest(name: site.vm.name, uuid: site.identifier(), network: nil)
            let xml = twin.xml
            try await refused(.failed, "a taken name with another UUID") { try await site.source.define(xml: xml) }
        },
        DriverContract("a definition at a host without its network can be made, and cannot be started") { site in
            var twin = try DomainDefinition(xml: await site.source.inactiveXML(uuid: site.vm.uuid))
            let uuid = site.identifier()
            try twin.becomeTest(name: site.vm.name + "-lost", uuid: uuid, network: "no-such-net")
            try await site.powerOff()
            try await site.source.define(xml: twin.xml)
            try await refused(.unknownNetwork, "the start") { try await site.source.start(uuid: uuid, paused: true) }
            try require("power", try await site.source.domain(uuid: uuid)?.power.isActive, false)
            try await site.source.undefine(uuid: uuid)
        },
        DriverContract("the ownership record is in the metadata, live and stored, survives a restart, and goes") {
            site in
            let record = Ownership(relationship: "contract", owner: "somebody", epoch: 7)
            // A host lets a VM with such a record start when its own says the same.
            try await site.sender.recordOwnership(
                OwnershipRecord(
                    relationship: record.relationship, vmUUID: site.vm.uuid, owner: record.owner, epoch: record.epoch,
                    host: record.owner))
            for _ in 1...2 { try await site.source.setOwnership(uuid: site.vm.uuid, record) }
            try require("the record", try await site.source.ownership(uuid: site.vm.uuid), record)
            let stored = try DomainDefinition(xml: await site.source.inactiveXML(uuid: site.vm.uuid))
            try require("the stored definition's record", stored.ownership, record)
            try await site.source.destroy(uuid: site.vm.uuid)
            try require("the record of a VM that is off", try await site.source.ownership(uuid: site.vm.uuid), record)
            try await site.source.start(uuid: site.vm.uuid, paused: false)
            try require("the record after a restart", try await site.source.ownership(uuid: site.vm.uuid), record)
            for _ in 1...2 { try await site.source.removeOwnership(uuid: site.vm.uuid) }
            try require("no record", try await site.source.ownership(uuid: site.vm.uuid), nil)
            for _ in 1...2 { try await site.sender.forgetOwnership(relationship: record.relationship) }
        },
    ]
}
