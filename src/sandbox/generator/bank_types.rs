//! The 46 transaction types and how their rows read.

use crate::sandbox::random::Random;

/// One transaction type of the source and what the generator knows of it.
#[derive(Debug)]
pub(in crate::sandbox) struct BankType {
    pub(in crate::sandbox) code: &'static str,
    pub(in crate::sandbox) name: &'static str,
    pub(super) bank_code: &'static str,
    pub(super) outgoing: bool,
    /// How often it comes, beside the others.
    weight: u16,
}

const fn coming(
    code: &'static str,
    name: &'static str,
    bank_code: &'static str,
    weight: u16,
) -> BankType {
    BankType { code, name, bank_code, outgoing: false, weight }
}

const fn going(
    code: &'static str,
    name: &'static str,
    bank_code: &'static str,
    weight: u16,
) -> BankType {
    BankType { code, name, bank_code, outgoing: true, weight }
}

pub(in crate::sandbox) const BANK_TYPES: [BankType; 46] = [
    going("BONOAL", "Bono Alış", "BONO", 1),
    coming("BONOSAT", "Bono Satış", "BONO", 1),
    going("CEKODE", "Çek Ödeme", "CEK", 6),
    coming("CEKTAH", "Çek Tahsilat", "CEK", 8),
    going("DBSODE", "DBS Ödeme", "DBS", 5),
    coming("DBSTAH", "DBS Tahsilat", "DBS", 8),
    going("DIGODE", "Diğer Ödeme", "DIG", 6),
    coming("DIGTAH", "Diğer Tahsilat", "DIG", 6),
    going("DOVAL", "Döviz Alış", "DVZ", 3),
    coming("DOVSAT", "Döviz Satış", "DVZ", 3),
    coming("FAIZGEL", "Faiz Geliri", "FAIZ", 3),
    going("FAIZGID", "Faiz Gideri", "FAIZ", 2),
    going("FATODEME", "Fatura Ödeme", "FATURA", 12),
    going("FONAL", "Fon Alış", "FON", 2),
    coming("FONSAT", "Fon Satış", "FON", 2),
    going("GMNGID", "Gümrük Gideri", "GMR", 2),
    coming("IHRISL", "İhracat İşlemi", "IHR", 3),
    going("ITHISL", "İthalat İşlemi", "ITH", 3),
    going("KARTHARC", "Kart Harcaması", "KART", 20),
    going("KARTODE", "Kart Ödeme", "KART", 6),
    going("KIRAGID", "Kira Gideri", "HAVALE", 4),
    going("KKDF", "KKDF", "VERGI", 2),
    coming("KRDKUL", "Kredi Kullandırım", "KREDI", 2),
    going("KRDODE", "Kredi Ödeme", "KREDI", 4),
    going("MASRKOM", "Masraf / Komisyon", "MASRAF", 30),
    going("NAKCEK", "Nakit Çekme", "NAKIT", 6),
    coming("NAKYAT", "Nakit Yatırma", "NAKIT", 8),
    going("OGSHGS", "OGS / HGS", "HGS", 6),
    going("PERSODE", "Personel Ödeme", "MAAS", 10),
    coming("POSBLC", "POS Bloke Çözüm", "POS", 4),
    going("POSBLG", "POS Bloke Giriş", "POS", 4),
    coming("POSYAT", "POS Yatan", "POS", 40),
    going("POSYATIAD", "POS Yatan İade", "POS", 3),
    going("REPOCEK", "Repo Çekme", "REPO", 1),
    coming("REPOYAT", "Repo Yatırma", "REPO", 1),
    going("SGKODE", "SGK Ödeme", "SGK", 4),
    going("SNTODE", "Senet Ödeme", "SENET", 2),
    coming("SNTTAH", "Senet Tahsilat", "SENET", 3),
    going("TEMMEKT", "Teminat Mektubu", "TEMINAT", 1),
    coming("TRFGEL", "Gelen Transfer", "EFT", 90),
    going("TRFGID", "Giden Transfer", "EFT", 60),
    going("VDHSACMA", "Vadeli Hesap Açma", "VADELI", 2),
    coming("VDHSKAPA", "Vadeli Hesap Kapama", "VADELI", 2),
    going("VERGIODE", "Vergi Ödeme", "VERGI", 6),
    coming("VIRMGEL", "Gelen Virman", "VIRMAN", 18),
    going("VIRMGID", "Giden Virman", "VIRMAN", 18),
];

/// The type of every incoming row whose outgoing sister would overdraw the account.
const FALLBACK: BankType = coming("TRFGEL", "Gelen Transfer", "EFT", 0);

/// Chooses a type by weight.
pub(super) fn choose(random: &mut Random) -> &'static BankType {
    let total: u64 = BANK_TYPES.iter().map(|kind| u64::from(kind.weight)).sum();
    let mut left = random.below(total);
    for kind in &BANK_TYPES {
        let weight = u64::from(kind.weight);
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    &FALLBACK
}

/// The type that brings money, for accounts that have too little to lose some.
pub(super) const fn incoming() -> &'static BankType {
    &FALLBACK
}

/// What the bank writes under a row.
pub(super) fn description(
    random: &mut Random,
    kind: &BankType,
    who: &str,
    amount: &str,
    currency: &str,
) -> String {
    let number = random.digits(6);
    let unsigned = amount.trim_start_matches('-');
    match kind.bank_code {
        "EFT" if kind.outgoing => {
            format!("SN:{number} {who} Açk: EFT {unsigned} {currency} Gönd.")
        }
        "EFT" => format!("GELEN FAST - {who} - Fatura no {number} ödemesi"),
        "VIRMAN" => format!("SN:{number} Virman işlemi {unsigned} {currency}"),
        "POS" => format!("{} İşyeri {number} gün sonu {unsigned} {currency}", kind.name),
        "KART" => format!("{number} nolu kart ile alışveriş, {who}"),
        "MASRAF" => format!("EFT/Havale ücreti ve BSMV, ref {number}"),
        "FATURA" => format!("Elektrik faturası, abone no {number}"),
        "MAAS" => format!("Maaş ödemesi {who} sicil {number}"),
        "SGK" | "VERGI" => format!("{} tahakkuk no {number}", kind.name),
        "CEK" | "SENET" => format!("{} seri no {number}, keşideci {who}", kind.name),
        _ => format!("{} ref {number} {unsigned} {currency}", kind.name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_46_codes_are_different() {
        let codes: BTreeSet<&str> = BANK_TYPES.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), 46);
    }

    #[test]
    fn every_type_comes_sooner_or_later() {
        let mut random = Random::new(1);
        let seen: BTreeSet<&str> = (0..20_000).map(|_| choose(&mut random).code).collect();
        assert_eq!(seen.len(), 46);
    }
}
