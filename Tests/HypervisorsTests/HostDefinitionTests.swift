import Testing

@testable import Hypervisors

@Suite("What a host makes of a definition")
struct HostDefinitionTests {
    private func definition(_ inner: String) throws -> DomainDefinition {
        try DomainDefinition(xml: "<domain type='qemu'><name>n</name>\(inner)</domain>")
    }

    @Test(
        "Memory is read in all units",
        arguments: [
            ("<memory>1048576</memory>", 1024), ("<memory unit='MiB'>96</memory>", 96),
            ("<memory unit='GiB'>2</memory>", 2048), ("<memory unit='b'>1048576</memory>", 1),
            ("<memory unit='GB'>1</memory>", 953), ("", 0),
        ])
    func memory(_ element: String, _ mebibytes: Int) throws {
        #expect(try definition(element).memoryMiB == mebibytes)
    }

    @Test("UUID and MAC addresses are made up where there are none, and kept where there are")
    func completed() throws {
        var open = try definition(
            "<devices><interface type='network'><source network='x'/></interface>"
                + "<interface type='network'><mac address='52:54:00:00:00:01'/></interface></devices>")
        open.complete(uuid: { "made" }, mac: { "52:54:00:00:00:02" })
        #expect(open.uuid == "made")
        #expect(open.nics.map(\.mac) == ["52:54:00:00:00:02", "52:54:00:00:00:01"])
        open.complete(uuid: { "other" }, mac: { "52:54:00:00:00:03" })
        #expect(open.uuid == "made" && open.nics[0].mac == "52:54:00:00:00:02")
    }

    @Test("Links of all NICs go down and up")
    func links() throws {
        var nics = try definition(
            "<devices><interface type='network'/><interface type='ethernet'><link state='down'/></interface></devices>")
        nics.setLinks(up: false)
        #expect(nics.nics.map(\.linkIsUp) == [false, false])
        nics.setLinks(up: true)
        #expect(nics.nics.map(\.linkIsUp) == [true, true])
        #expect(!nics.hasNullNIC)
        #expect(try definition("<devices><interface type='null'/></devices>").hasNullNIC)
    }
}
