extension LabGuest {
    /// The libvirt domain of the guest at a site, connected to one of the site's networks.
    ///
    /// Always TCG: a /dev/kvm that opens is no proof that KVM works. libvirt gives the VM its id and hardware address.
    package func domainXML(at site: SiteLayout, network: String, guestFiles: String) -> String {
        let disks = zip(deviceNames, diskFiles(at: site)).map { device, file in
            """
                <disk type='file' device='disk'>
                  <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
                  <source file='\(file)'/>
                  <target dev='\(device)' bus='virtio'/>
                </disk>
            """
        }
        let channel =
            hasAgent
            ? "    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\n" : ""
        return """
            <domain type='qemu'>
              <name>\(name)</name>
              <memory unit='MiB'>\(hasAgent ? 144 : 96)</memory>
              <vcpu>1</vcpu>
              <os>
                <type arch='x86_64' machine='pc'>hvm</type>
                <kernel>\(guestFiles)/vmlinux</kernel>
                <initrd>\(guestFiles)/\(hasAgent ? "initrd-agent.gz" : "initrd.gz")</initrd>
                <cmdline>\(kernelArguments)</cmdline>
              </os>
              <features>
                <acpi/>
                <tcg><tb-cache unit='MiB'>32</tb-cache></tcg>
              </features>
              <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
              <clock offset='utc'/>
              <on_poweroff>destroy</on_poweroff>
              <on_reboot>destroy</on_reboot>
              <on_crash>destroy</on_crash>
              <devices>
                <emulator>/usr/bin/qemu-system-x86_64</emulator>
            \(disks.joined(separator: "\n"))
                <interface type='network'>
                  <source network='\(network)'/>
                  <model type='virtio'/>
                  <rom enabled='no'/>
                </interface>
                <serial type='file'>
                  <source path='\(site.console(of: name))' append='on'/>
                  <target port='0'/>
                </serial>
            \(channel)    <controller type='usb' model='none'/>
                <memballoon model='none'/>
              </devices>
            </domain>

            """
    }
}
