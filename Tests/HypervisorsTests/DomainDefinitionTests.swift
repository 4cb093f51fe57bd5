import Testing

@testable import Hypervisors

@Suite("Domain definitions")
struct DomainDefinitionTests {
    static let live = """
        <?xml version="1.0" encoding="UTF-8"?>
        <domain type='qemu' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
          <name>orders &amp; co</name>
          <uuid>71f4c787-7c50-4df1-8311-324bbad4de2d</uuid>
          <metadata>
            <app:note xmlns:app="urn:app" who="a&lt;b">keep <app:b>this</app:b> text</app:note>
            <p:ownership xmlns:p="https://perilune.dev/ownership/1" relationship="r1" owner="h1" epoch="3"/>
          </metadata>
          <memory unit='KiB'>98304</memory>
          <devices>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
              <source file='/a/top.qcow2' index='2'><seclabel model='dac' relabel='no'/></source>
              <backingStore type='file' index='3'>
                <format type='raw'/><source file='/a/base.raw'/><backingStore/>
              </backingStore>
              <mirror type='file' job='active-commit'/>
              <target dev='vda' bus='virtio'/>
              <alias name='virtio-disk0'/>
              <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>
            </disk>
            <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
            <disk type='block' device='disk'>
              <source dev='/dev/sdz'/><target dev='vdb' bus='virtio'/><shareable/>
            </disk>
            <interface type='network'>
              <mac address='52:54:00:AA:00:01'/>
              <source network='prod' portid='0d6' bridge='virbr0' portgroup='dmz'/>
              <target dev='vnet4'/><model type='virtio'/><link state='down'/><alias name='ua-mine'/>
            </interface>
            <interface type='bridge'>
              <mac address='52:54:00:aa:00:02'/><source bridge='br0'/><target dev='mine'/>
            </interface>
            <serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>
            <console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/></console>
          </devices>
          <seclabel type='dynamic' model='dac'/>
          <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
        </domain>
        """

    @Test("name, UUID, disks, chain, NICs and owner are read")
    func reads() throws {
        let domain = try DomainDefinition(xml: Self.live)
        #expect(domain.name == "orders & co")
        #expect(domain.uuid == "71f4c787-7c50-4df1-8311-324bbad4de2d")
        #expect(domain.disks.map(\.target) == ["vda", "hda", "vdb"])
        #expect(domain.disks.map(\.isWritableFile) == [true, false, false])
        #expect(domain.disks.map(\.isShareable) == [false, false, true])
        #expect(
            domain.disks[0].chain
                == [.init(path: "/a/top.qcow2", format: "qcow2"), .init(path: "/a/base.raw", format: "raw")])
        #expect(domain.nics.map(\.network) == ["prod", nil])
        #expect(domain.nics.map(\.linkIsUp) == [false, true])
        #expect(domain.ownership == Ownership(relationship: "r1", owner: "h1", epoch: 3))
    }

    @Test("what is written reads the same again, metadata and prefixes of others included")
    func roundTrip() throws {
        let once = try DomainDefinition(xml: Self.live)
        let twice = try DomainDefinition(xml: once.xml)
        #expect(once == twice)
        #expect(once.xml == twice.xml)
        #expect(once.xml.contains("who='a&lt;b'"))
        #expect(once.xml.contains("keep <app:b>this</app:b> text"))
        #expect(once.xml.contains("<qemu:arg value='-foo'/>"))
        #expect(once.xml.contains("xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"))
    }

    @Test(
        "a disk's chain is named down to an explicit end",
        arguments: [
            (["/b/1.qcow2"], ["qcow2"]), (["/b/base.raw"], ["raw"]),
            (["/b/3&'.qcow2", "/b/2.qcow2", "/b/base.raw"], ["qcow2", "qcow2", "raw"]),
        ])
    func chain(_ paths: [String], _ formats: [String]) throws {
        var domain = try DomainDefinition(xml: Self.live)
        let layers = zip(paths, formats).map { DomainDefinition.Layer(path: $0, format: $1) }
        try domain.setDisk("vda", chain: layers)
        let again = try DomainDefinition(xml: domain.xml)
        #expect(again.disks[0].chain == layers)
        var element = try #require(again.tree.child("devices")?.children("disk").first)
        #expect(
            element.child("driver")?.attributes
                == ["name": "qemu", "type": formats[0], "cache": "none", "discard": "unmap"])
        #expect(element.child("mirror") == nil)
        #expect(element.child("address")?.attributes["slot"] == "0x04")
        #expect(element.child("source")?.attributes == ["file": paths[0]])
        for _ in paths { element = try #require(element.child("backingStore")) }
        #expect(element == XMLTree("backingStore"))
    }

    @Test("a disk that is not there, a relative path, an empty chain and a control character are refused")
    func refusedDisks() throws {
        let domain = try DomainDefinition(xml: Self.live)
        let cases: [(String, [DomainDefinition.Layer])] = [
            ("vdz", [.init(path: "/x", format: "raw")]), ("vda", []), ("vda", [.init(path: "x", format: "raw")]),
            ("vda", [.init(path: "/x\u{1}", format: "raw")]),
        ]
        for (target, chain) in cases {
            var copy = domain
            let error = #expect(throws: HypervisorError.self) { try copy.setDisk(target, chain: chain) }
            #expect(error?.code == .invalidDefinition)
            #expect(copy == domain)
        }
    }

    @Test("NICs are connected by MAC before network, and lose what belonged to the former connection")
    func networks() throws {
        var domain = try DomainDefinition(xml: Self.live)
        try domain.setNetworks(["prod": "wrong", "52:54:00:aa:00:01": "dr", "52:54:00:AA:00:02": "dr2"])
        let nics = try DomainDefinition(xml: domain.xml).nics
        #expect(nics.map(\.network) == ["dr", "dr2"])
        #expect(nics.map(\.linkIsUp) == [true, true])
        let element = try #require(domain.tree.child("devices")?.children("interface").first)
        #expect(element.child("source")?.attributes == ["network": "dr"])
        #expect(element.child("model")?.attributes == ["type": "virtio"])
    }

    @Test("a NIC without a network stays in the VM, connected to nothing; others stay as they are")
    func unconnected() throws {
        var domain = try DomainDefinition(xml: Self.live)
        try domain.setNetworks(["prod": nil])
        #expect(domain.nics.map(\.network) == [nil, nil])
        #expect(domain.nics.map(\.linkIsUp) == [false, true])
        let elements = domain.tree.child("devices")?.children("interface") ?? []
        #expect(elements.map { $0.attributes["type"] } == ["ethernet", "bridge"])
        #expect(elements[0].child("source") == nil)
        #expect(elements[0].child("mac")?.attributes["address"] == "52:54:00:AA:00:01")
    }

    @Test("the ownership record replaces an older one, with any prefix, and can be removed")
    func ownership() throws {
        var domain = try DomainDefinition(xml: Self.live)
        let record = Ownership(relationship: "r'2<", owner: "h&2", epoch: 4)
        try domain.setOwnership(record)
        let again = try DomainDefinition(xml: domain.xml)
        #expect(again.ownership == record)
        #expect(again.tree.child("metadata")?.children.count == 2)
        try domain.setOwnership(nil)
        #expect(domain.ownership == nil)
        #expect(domain.tree.child("metadata")?.children.map(\.name) == ["app:note"])
    }

    @Test("what belongs to one run or host goes, addresses and the user's own names stay")
    func hostState() throws {
        var domain = try DomainDefinition(xml: Self.live)
        domain.removeHostState()
        let xml = domain.xml
        for gone in ["id='7'", "virtio-disk0", "seclabel", "portid", "virbr0", "vnet4", "/dev/pts", "index=", "mirror"]
        {
            #expect(!xml.contains(gone), "\(gone) is still there")
        }
        for kept in ["ua-mine", "slot='0x04'", "portgroup='dmz'", "dev='mine'", "/a/base.raw", "qemu:arg"] {
            #expect(xml.contains(kept), "\(kept) is gone")
        }
    }

    @Test(
        "text that is no domain is refused",
        arguments: [
            "", "nonsense", "<domain>", "<network><name>x</name></network>", "<domain/>",
            "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain><name>&x;</name></domain>",
            "<domain><name>&nbsp;</name></domain>",
            "<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE d+AD4-<domain><name>x</name></domain>",
            "<domain><name>x</name>" + String(repeating: "<a>", count: 80) + String(repeating: "</a>", count: 80)
                + "</domain>",
        ])
    func refused(_ xml: String) {
        let error = #expect(throws: HypervisorError.self) { try DomainDefinition(xml: xml) }
        #expect(error?.code == .invalidDefinition)
        #expect(error?.hint?.isEmpty == false)
    }

    @Test("text of more than 1 MiB is refused")
    func tooLong() {
        let xml = "<domain><name>" + String(repeating: "x", count: XMLTree.maximumBytes) + "</name></domain>"
        let error = #expect(throws: HypervisorError.self) { try DomainDefinition(xml: xml) }
        #expect(error?.message.contains("1 MiB") == true)
    }
}
