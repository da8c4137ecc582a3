"""The science of Diffusion Explorer; it never draws. One notation everywhere:

======================  ==========================================  =============  ==================================
symbol                  meaning                                     shape          paper
======================  ==========================================  =============  ==================================
n, p, k                 flips, chance of heads, heads               numbers        de Moivre (1738)
T, t                    steps of noising; time, 0 is clean          integers       Ho et al. (2020), arXiv 2006.11239
x0, x_t                 a picture, and it after t steps of noise    (B, C, H, W)   Ho et al., eq. 2
eps                     standard normal noise                       as x0          Ho et al., eq. 4
beta_t                  variance that step t adds                   (T + 1,)       Ho et al., eq. 2
alpha_bar_t             share of the variance that is still signal  (T + 1,)       Ho et al., eq. 4
signal, noise           sqrt(alpha_bar), sqrt(1 - alpha_bar)        (T + 1,)       Ho et al., eq. 4
sigma_t                 noise / signal                              (T + 1,)       Karras et al. (2022), 2206.00364
snr_t                   (signal / noise)^2                          (T + 1,)       Kingma et al. (2021), 2107.00630
v                       signal eps - noise x0                       as x0          Salimans & Ho (2022), 2202.00512
eta                     share of fresh noise in a DDIM step         number         Song et al. (2021), 2010.02502
scale                   guidance; 1 is none, Ho's w is scale - 1    number         Ho & Salimans (2022), 2207.12598
z                       a latent, the picture inside the VAE        (B, 4, h, w)   Rombach et al. (2022), 2112.10752
context                 what the words became                       (B, 77, D)     Radford et al. (2021), 2103.00020
======================  ==========================================  =============  ==================================
"""
