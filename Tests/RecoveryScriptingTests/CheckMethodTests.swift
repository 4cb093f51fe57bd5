import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Checks from scripts")
struct CheckMethodTests {
    @Test("server, host and vm return findings as tables, with what to do where they fail")
    func tables() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                for _, object in ipairs { vmm, vault:host("host-a"), gold:vm("web") } do
                  local findings = object:check()
                  assert(#findings > 3)
                  for _, each in ipairs(findings) do
                    assert(each.id and each.object and each.sentence and each.cause, each.id)
                    local trouble = each.verdict == "warn" or each.verdict == "fail"
                    assert(trouble == (each.fix ~= nil), each.id)
                    if each.verdict == "fail" then print(each.object .. " " .. each.id) end
                  end
                end
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        // The world's hosts are of version 0 of everything, and its agents know no checks.
        #expect(bench.printed.all.contains("vmm01 management-vm-replicated"))
        #expect(bench.printed.all.contains("host-a libvirt-version"))
        #expect(bench.printed.all.contains("host-a agent-version"))
    }

    @Test("a host that does not answer is a finding, not an error")
    func lost() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                lab.lose("b")
                for _, each in ipairs(vault:host("host-b"):check()) do
                  if each.verdict == "fail" then print(each.id) end
                end
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        // The fence is a program of the world's, not of this machine.
        #expect(bench.printed.all == ["libvirt-answers", "agent-answers", "fence-command"])
    }

    @Test("check takes nothing, and changes nothing")
    func arguments() async throws {
        let bench = Bench()
        let error = try await bench.failure(of: Bench.setUp + "vmm:check { deep = true }")
        #expect(error != nil)
    }
}
