import COpenSSL
import Foundation
import SiteModel

/// What a certificate says, in words.
enum CertificateWords {
    static func facts(_ certificate: OpaquePointer, protocolVersion: String) -> CertificateFacts? {
        guard let from = time(X509_get0_notBefore(certificate)), let until = time(X509_get0_notAfter(certificate))
        else { return nil }
        return CertificateFacts(
            subject: name(X509_get_subject_name(certificate)), issuer: name(X509_get_issuer_name(certificate)),
            validFrom: from, validUntil: until, protocolVersion: protocolVersion)
    }

    static func name(_ name: OpaquePointer?) -> String {
        var text = [CChar](repeating: 0, count: 256)
        X509_NAME_oneline(name, &text, Int32(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The names and numbers of hosts that it is for, as "b1.example.org, 10.0.0.2"; its subject when there are none.
    static func names(_ certificate: OpaquePointer) -> String {
        let index = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1)
        guard index >= 0, let memory = BIO_new(BIO_s_mem()) else { return name(X509_get_subject_name(certificate)) }
        defer { BIO_free(memory) }
        X509V3_EXT_print(memory, X509_get_ext(certificate, index), 0, 0)
        var text = [UInt8](repeating: 0, count: 1024)
        let count = BIO_read(memory, &text, Int32(text.count))
        return String(decoding: text.prefix(Int(max(0, count))), as: UTF8.self)
            .replacingOccurrences(of: "DNS:", with: "").replacingOccurrences(of: "IP Address:", with: "")
    }

    private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> Timestamp? {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Timestamp(milliseconds: Int64(timegm(&parts)) * 1000)
    }
}
