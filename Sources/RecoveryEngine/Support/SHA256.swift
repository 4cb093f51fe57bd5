import COpenSSL

/// SHA-256 (FIPS 180-4), by libcrypto: for secrets and journals.
///
/// Disks and points have their own, faster checksums.
package enum SHA256 {
    /// The digest in hexadecimal.
    package static func hexadecimal(of message: some Collection<UInt8>) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        let done =
            message.withContiguousStorageIfAvailable {
                EVP_Digest($0.baseAddress, $0.count, &digest, nil, EVP_sha256(), nil)
            }
            ?? Array(message).withUnsafeBytes {
                EVP_Digest($0.baseAddress, $0.count, &digest, nil, EVP_sha256(), nil)
            }
        guard done == 1 else { fatalError("libcrypto has no SHA-256") }
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
