// Packed or encrypted content that the archive walk cannot open. The tag `unscannable` makes the verdict so.

rule Archive_of_unknown_format : unscannable
{
    strings:
        $ace = "**ACE**"
        $lzh = /-(lh[0-9a-z]|lz[2-8s]|pm[0-2])-/
        $ar = "!<arch>\n"
        $rar = { 52 61 72 21 1A 07 }
        $lzma = { 5D 00 00 ?? ?? FF FF FF FF FF FF FF FF }
    condition:
        $ace at 7
        or $lzh at 2
        or $ar at 0                                           // Debian's packages
        or $rar at 0
        or $lzma at 0
        or uint32(0) == 0x184D2204                            // LZ4
        or uint16(0) == 0x9D1F or uint16(0) == 0xA01F         // compress, pack
        or (uint16(0) == 0xEA60 and uint8(10) == 2)           // ARJ
        or (uint32(0) == 0x50495A4C and uint8(4) == 1)        // lzip
        or (uint32(0) == 0x4643534D and uint32(4) == 0)       // CAB
        or (uint32(0) == 0x4957534D and uint32(4) == 0x4D)    // WIM
        or (uint32(0) == 0x46535449 and uint32(4) == 3)       // CHM
        or uint32(0) == 0x21726178                            // XAR
        or uint32(0) == 0x73717368                            // SquashFS
        or uint32(0) == 0xDBEEABED                            // RPM
        or uint32(20) == 0xFDC4A7DC                           // ZOO
}

rule Program_with_an_archive_inside : unscannable
{
    strings:
        $seven_zip = { 37 7A BC AF 27 1C 00 0? }
        $rar = { 52 61 72 21 1A 07 ( 00 | 01 00 ) }
    condition:
        (uint16(0) == 0x5A4D or uint32(0) == 0x464C457F) and any of them
}

rule Encrypted_office_document : unscannable
{
    strings:
        $package = "EncryptedPackage" wide
    condition:
        uint32(0) == 0xE011CFD0 and uint32(4) == 0xE11AB1A1 and $package
}
